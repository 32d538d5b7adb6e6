import { afterAll, beforeAll, expect, test } from "vitest";
import { type Arena, openArena } from "./arena.ts";
import { ROWS } from "./rows/index.ts";

let arena: Arena;
beforeAll(async () => {
  arena = await openArena("tiny");
});
afterAll(() => arena[Symbol.asyncDispose]());

for (const [name, measure] of Object.entries(ROWS)) {
  test(`the bench's row ${name} runs and yields figures`, async () => {
    const row = await measure(arena);
    expect(row.row).toBe(name);
    const figures = [row.ours, ...Object.values(row.peers)].flatMap(Object.values);
    // A count of faults is rightly 0; a rate or a time never is, and each row has one.
    expect(Math.max(...figures)).toBeGreaterThan(0);
    for (const figure of [...figures, row.ratio ?? 1]) {
      expect(Number.isFinite(figure)).toBe(true);
      expect(figure).toBeGreaterThanOrEqual(0);
    }
    // What a row is about is something; among the rest there may be nothing, such as of runs out of order.
    expect(Object.values(row.ours)[0]).toBeGreaterThan(0);
  });
}
