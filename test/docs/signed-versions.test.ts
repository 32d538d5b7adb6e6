import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Settings } from "../../worker/src/settings.ts";
import { blocksOf } from "./blocks.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(join(root, "docs/how-to/signed-versions.md"), "utf8");
const sources = globSync("sdk/cli/src/**/*.ts", { cwd: root })
  .filter((path) => !path.endsWith(".test.ts"))
  .map((path) => readFileSync(join(root, path), "utf8"))
  .join("\n");

test("every code in the page's table is one that the command gives", () => {
  const codes = [...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, code = ""]) => code);
  expect(codes.length).toBeGreaterThan(4);
  expect(codes.filter((code) => !sources.includes(`"${code}"`))).toEqual([]);
});

test("the page's settings of a worker are accepted", () => {
  const blocks = blocksOf(page).filter(({ language }) => language === "json");
  expect(blocks.length).toBeGreaterThan(0);
  for (const { text } of blocks) expect(() => Settings.partial().parse(JSON.parse(text))).not.toThrow();
});
