import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { type Random, seeded } from "../chaos/random.ts";
import { hasPython } from "../python/interpreters.ts";
import { type Compared, compared, nameOf, ordered, ranAgain } from "./compare.ts";
import { randomScript } from "./random-script.ts";
import type { Play, RecordedAttempt } from "./script.ts";

const { TOWPATH_SCRIPTS = "80", TOWPATH_SCRIPTS_SEED = "1", TOWPATH_SCRIPT } = process.env;
const COUNT = Number(TOWPATH_SCRIPTS);
const SEED = Number(TOWPATH_SCRIPTS_SEED);
const KILLS_MAX = 3;
/** The most records before a kill. */
const DEATH_MAX = 30;
const SHOWN_MAX = 3;

function playsOf(index: number): Play[] {
  const random = seeded(SEED * 100_003 + index);
  const script = randomScript(random, `script ${index} of seed ${SEED}`);
  return [
    { script, deaths: [] },
    { script, deaths: deathsOf(random) },
    { script, deaths: deathsOf(random) },
  ];
}

function deathsOf(random: Random): number[] {
  return Array.from({ length: random.whole(1, KILLS_MAX) }, () => random.whole(1, DEATH_MAX));
}

/** How a run ended. By which try of a call it failed depends on where it was killed. */
function endOf(attempts: readonly RecordedAttempt[] | undefined) {
  const { outcome, result } = attempts?.at(-1)?.records.at(-1) ?? {};
  return { outcome, result };
}

/** What was found and what was expected, for the first thing that is wrong with a play. */
function faultOf({ play, python, typescript }: Compared, whole: Compared | undefined): unknown[] | null {
  const { script, deaths } = play;
  const again = [...ranAgain(python), ...ranAgain(typescript)];
  const checks: unknown[][] = [
    [again, []],
    [endOf(python), endOf(typescript)],
    [endOf(typescript), endOf(whole?.typescript)],
  ];
  // Kills fall elsewhere if branches interleave in another way.
  if (script.isSequential || deaths.length === 0) checks.push([ordered(python), ordered(typescript)]);
  return checks.find(([found, wanted]) => !isDeepStrictEqual(found, wanted)) ?? null;
}

describe.skipIf(!hasPython)("random flows as data, in both engines", () => {
  test("record the same, wherever they are killed", { timeout: 1_800_000 }, async () => {
    const chosen = TOWPATH_SCRIPT === undefined ? null : Number(TOWPATH_SCRIPT);
    const indexes = chosen === null ? Array.from({ length: COUNT }, (_, index) => index) : [chosen];
    const all = await compared(indexes.flatMap(playsOf));
    expect(all.length).toBeGreaterThanOrEqual(indexes.length * 3);
    let shown = 0;
    for (const one of all) {
      const whole = all.find(({ play }) => play.script === one.play.script && play.deaths.length === 0);
      const fault = faultOf(one, whole);
      if (fault === null || shown++ >= SHOWN_MAX) continue;
      const again = `TOWPATH_SCRIPTS_SEED=${SEED} TOWPATH_SCRIPT=${one.play.script.title.split(" ")[1]}`;
      expect.soft(fault[0], `${again}: ${nameOf(one.play)}`).toEqual(fault[1]);
    }
    expect(shown, "plays that differ").toBe(0);
  });
});
