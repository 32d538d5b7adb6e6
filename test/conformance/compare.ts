import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { interpreters } from "../python/interpreters.ts";
import { runIn } from "../python/own-tests.ts";
import { played } from "./driver.ts";
import type { Play, RecordedAttempt, Step } from "./script.ts";

/** A play in Python: as a plain `def`, or as an `async def`. */
export type PythonPlay = Play & { readonly isAsync: boolean };

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
export function ordered(attempts: readonly RecordedAttempt[]): RecordedAttempt[] {
  const keyOf = (record: RecordedAttempt["records"][number]) => String(record.path ?? "");
  return attempts.map(({ outcome, records }) => {
    const last = records
      .filter(({ type }) => type === "outcome")
      .map((end) => (Array.isArray(end.waits) ? { ...end, waits: end.waits.toSorted() } : end));
    const rest = records.filter(({ type }) => type !== "outcome");
    return { outcome, records: [...rest.sort((a, b) => keyOf(a).localeCompare(keyOf(b), "en")), ...last] };
  });
}

/** What both engines recorded of a play. */
export interface Compared {
  readonly play: PythonPlay;
  readonly python: readonly RecordedAttempt[];
  readonly typescript: readonly RecordedAttempt[];
}

/** Plays scripts in both engines. */
export async function compared(plays: readonly Play[]): Promise<Compared[]> {
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

/** A play in messages. */
export const nameOf = ({ script: { title }, deaths, isAsync }: PythonPlay) =>
  `${title} (${isAsync ? "async def" : "def"}${deaths.length > 0 ? `, killed after ${deaths.join(", ")} records` : ""})`;

/** The calls that were begun although an earlier attempt had completed them. */
export function ranAgain(attempts: readonly RecordedAttempt[]): string[] {
  const done = new Set<unknown>();
  return attempts.flatMap(({ records }) => {
    const again = records.filter(({ move, path }) => move === "begin" && done.has(path));
    // Without a version of its code, a result is not kept.
    for (const one of records)
      if (one.move === "complete" && one.codeVersion !== undefined) done.add(one.path);
    return again.map(({ path }) => String(path));
  });
}
