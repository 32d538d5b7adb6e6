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
    expect(figures.length).toBeGreaterThan(0);
    for (const figure of [...figures, row.ratio ?? 1]) {
      expect(Number.isFinite(figure)).toBe(true);
      expect(figure).toBeGreaterThan(0);
    }
  });
}
