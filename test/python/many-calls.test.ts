import { describe, expect, test } from "vitest";
import { z } from "zod";
import { hasPython, interpreters } from "./interpreters.ts";
import { runIn } from "./own-tests.ts";

const Told = z.object({ sum: z.int(), peakBytes: z.int() });

/** The highest memory of a Python that maps so many calls. */
async function peakOf(form: string, count: number): Promise<number> {
  const path = interpreters.at(-1)?.path ?? "python3";
  const { code, output } = await runIn(path, ["-m", "tests.many", form, String(count)]);
  expect(code, output).toBe(0);
  const { sum, peakBytes } = Told.parse(JSON.parse(output));
  expect(sum).toBe(count * (count - 1));
  return peakBytes;
}

describe.skipIf(!hasPython)("many mapped calls in Python", () => {
  test.each(["iterated", "keyed", "whole", "async-iterated", "async-keyed", "async-whole"])(
    "100,000 (%s) take at most 1.3 times the memory of 1,000",
    { timeout: 600_000 },
    async (form) => {
      const few = await peakOf(form, 1000);
      expect((await peakOf(form, 100_000)) / few).toBeLessThan(1.3);
    },
  );
});
