import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SLOW, slowFirst } from "./slow-first.ts";

const ROOT = join(import.meta.dirname, "../..");

test("each slow file exists", () => {
  expect(SLOW.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test("slow files come first in their project, longest first; all else keeps its order", () => {
  const of = (name: string, path: string) => ({ moduleId: join(ROOT, path), project: { name } });
  const [longest = "", second = ""] = SLOW;
  const files = [of("alone", "b.test.ts"), of("alone", "a.test.ts"), of("tests", "d.test.ts")];
  const slow = [of("tests", second), of("tests", "c.test.ts"), of("tests", longest)];
  expect(slowFirst([...files, ...slow])).toEqual([
    of("alone", "b.test.ts"),
    of("alone", "a.test.ts"),
    of("tests", longest),
    of("tests", second),
    of("tests", "d.test.ts"),
    of("tests", "c.test.ts"),
  ]);
});
