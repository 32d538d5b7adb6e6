import { afterAll, beforeAll, expect, test } from "vitest";
import { type Arena, openArena } from "./arena.ts";
import { missingFor } from "./missing.ts";
import { ROWS } from "./rows/index.ts";

let arena: Arena;
beforeAll(async () => {
  arena = await openArena("tiny");
});
afterAll(() => arena[Symbol.asyncDispose]());

/**
 * What may be none: faults, what a suspended run holds, the time that a slot lies idle when an end and the next admission are one commit, what holds
 * a page for long, processor time, which is counted in ticks of 10 ms: a dozen runs may need less, and
 * environments that a second deployment needs.
 */
const RIGHTLY_NONE =
  /^(out of order|slot idle|processes and slots|slots and attempts)|(longest task|ms\/run|second one built)$/;
for (const [name, measure] of Object.entries(ROWS)) {
  const missing = missingFor(name);
  if (missing !== null) console.warn(`SKIPPED: row ${name} is not measured, because ${missing}.`);
  test.skipIf(missing !== null)(`the bench's row ${name} runs and yields figures`, async () => {
    const row = await measure(arena);
    expect(row.row).toBe(name);
    const figures = [row.ours, ...Object.values(row.peers)].flatMap(Object.entries<number>);
    expect(figures.length).toBeGreaterThan(0);
    for (const [figure, value] of [...figures, ["ratio", row.ratio ?? 1] as const]) {
      expect(Number.isFinite(value), figure).toBe(true);
      if (RIGHTLY_NONE.test(figure)) expect(value, figure).toBeGreaterThanOrEqual(0);
      else expect(value, figure).toBeGreaterThan(0);
    }
  });
}
