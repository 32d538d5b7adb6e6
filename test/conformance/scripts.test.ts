import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { hasPython } from "../python/interpreters.ts";
import { type Compared, compared, nameOf, ordered, ranAgain } from "./compare.ts";
import { type Play, type RecordedAttempt, Script } from "./script.ts";

const FOLDER = new URL("scripts/", import.meta.url);
const scripts = readdirSync(FOLDER).map((file) =>
  Script.parse(JSON.parse(readFileSync(new URL(file, FOLDER), "utf8"))),
);

/** How often the functions of tasks were called. */
function executionsOf(attempts: readonly RecordedAttempt[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { move, name } of attempts.flatMap(({ records }) => records))
    if (move === "begin") found[String(name)] = (found[String(name)] ?? 0) + 1;
  return found;
}

describe.skipIf(!hasPython)("flows as data, in both engines", () => {
  const wholes = scripts.map((script): Play => ({ script, deaths: [] }));
  let whole: Compared[];
  beforeAll(async () => {
    whole = await compared(wholes);
  });

  test("record the same", () => {
    for (const { play, python, typescript } of whole)
      expect.soft(ordered(python), nameOf(play)).toEqual(ordered(typescript));
  });

  test("end as the scripts say, and call each function as often", () => {
    for (const { play, typescript } of whole) {
      const { outcome, executions } = play.script;
      expect.soft(typescript.at(-1)?.outcome, nameOf(play)).toBe(outcome);
      expect.soft(executionsOf(typescript), nameOf(play)).toEqual(executions);
    }
  });

  test("killed after each record, record the same, and begin nothing again that had completed", async () => {
    const killed = whole.flatMap(({ play, typescript }) => {
      const first = play.script.isSequential && play.isAsync ? (typescript[0]?.records.length ?? 0) : 0;
      return Array.from({ length: first }, (_, index): Play => ({ ...play, deaths: [index + 1] }));
    });
    expect(killed.length).toBeGreaterThan(100);
    for (const { play, python, typescript } of await compared(killed)) {
      const end = whole
        .find((one) => one.play.script === play.script)
        ?.typescript.at(-1)
        ?.records.at(-1);
      expect.soft(python, nameOf(play)).toEqual(typescript);
      expect.soft(typescript.at(-1)?.records.at(-1), nameOf(play)).toEqual(end);
      expect.soft(ranAgain(python), nameOf(play)).toEqual([]);
    }
  });
});
