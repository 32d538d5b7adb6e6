import { readdirSync, readFileSync } from "node:fs";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { hasPython, interpreters } from "../python/interpreters.ts";
import { runIn } from "../python/own-tests.ts";
import { played } from "./driver.ts";
import { type Play, type RecordedAttempt, Script, type Step } from "./script.ts";

const FOLDER = new URL("scripts/", import.meta.url);
const scripts = readdirSync(FOLDER).map((file) =>
  Script.parse(JSON.parse(readFileSync(new URL(file, FOLDER), "utf8"))),
);

/** A play in Python: as a plain `def`, or as an `async def`. */
type PythonPlay = Play & { readonly isAsync: boolean };

/** Plays scripts in Python, all in one process. */
async function playedInPython(plays: readonly PythonPlay[]): Promise<RecordedAttempt[][]> {
  await using folder = await mkdtempDisposable(join(tmpdir(), "towpath-scripts-"));
  const file = join(folder.path, "plays.json");
  await writeFile(file, JSON.stringify(plays));
  const path = interpreters.at(-1)?.path ?? "python3";
  const { code, output } = await runIn(path, ["-m", "tests.script_driver", file]);
  expect(code, output).toBe(0);
  return output
    .trim()
    .split("\n")
    .map((line): RecordedAttempt[] => JSON.parse(line));
}

/** Whether all branches are single calls, which a plain `def` can submit. */
function isPlain(steps: readonly Step[]): boolean {
  return steps.every((step) => {
    if (step.do === "parallel")
      return step.branches.every((branch) => branch.length === 1 && branch[0]?.do === "call");
    return !("steps" in step) || isPlain(step.steps);
  });
}

/** The plays of a script in Python, in each way that it can be played there. */
function inPython(play: Play): PythonPlay[] {
  const { flow, tasks } = play.script;
  const steps = [...flow, ...Object.values(tasks).flatMap((task) => task.steps)];
  return isPlain(steps)
    ? [
        { ...play, isAsync: false },
        { ...play, isAsync: true },
      ]
    : [{ ...play, isAsync: true }];
}

/** The records in an order that does not depend on how branches interleave. */
function ordered(attempts: readonly RecordedAttempt[]): RecordedAttempt[] {
  const keyOf = (record: RecordedAttempt["records"][number]) => String(record.path ?? "");
  return attempts.map(({ outcome, records }) => {
    const last = records.filter(({ type }) => type === "outcome");
    const rest = records.filter(({ type }) => type !== "outcome");
    return { outcome, records: [...rest.sort((a, b) => keyOf(a).localeCompare(keyOf(b), "en")), ...last] };
  });
}

/** How often the functions of tasks were called. */
function executionsOf(attempts: readonly RecordedAttempt[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { move, name } of attempts.flatMap(({ records }) => records))
    if (move === "begin") found[String(name)] = (found[String(name)] ?? 0) + 1;
  return found;
}

interface Compared {
  readonly play: PythonPlay;
  readonly python: readonly RecordedAttempt[];
  readonly typescript: readonly RecordedAttempt[];
}

async function compared(plays: readonly Play[]): Promise<Compared[]> {
  const all = plays.flatMap((play) => inPython(play).map((own) => ({ play, own })));
  const python = playedInPython(all.map(({ own }) => own));
  const typescript = new Map<Play, readonly RecordedAttempt[]>();
  for (const play of plays) typescript.set(play, await played(play));
  return (await python).map((told, index) => {
    const one = all[index];
    if (one === undefined) throw new Error("Python has played more than it was asked for");
    return { play: one.own, python: told, typescript: typescript.get(one.play) ?? [] };
  });
}

const nameOf = ({ script: { title }, deaths, isAsync }: PythonPlay) =>
  `${title} (${isAsync ? "async def" : "def"}${deaths.length > 0 ? `, killed after ${deaths.join(", ")} records` : ""})`;

/** The calls that were begun although an earlier attempt had completed them. */
function ranAgain(attempts: readonly RecordedAttempt[]): string[] {
  const done = new Set<unknown>();
  return attempts.flatMap(({ records }) => {
    const again = records.filter(({ move, path }) => move === "begin" && done.has(path));
    // Without a version of its code, a result is not kept.
    for (const one of records)
      if (one.move === "complete" && one.codeVersion !== undefined) done.add(one.path);
    return again.map(({ path }) => String(path));
  });
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
