import { expect, test } from "vitest";
import { z } from "zod";
import { ctx, flow, InvalidParameters } from "../index.ts";
import { testRun } from "../testing.ts";

const [start, end] = [new Date("2026-01-01T02:00:00.000Z"), new Date("2026-01-02T02:00:00.000Z")];
const due = { schedule: "nightly", at: end, interval: { start, end } };
const input = z.object({ from: z.iso.datetime(), to: z.iso.datetime() });

test("A run for an instant of a schedule makes its own parameters", async () => {
  const load = flow(
    {
      name: "load",
      input,
      dueInput: ({ interval }) => ({ from: interval.start.toISOString(), to: interval.end.toISOString() }),
    },
    async (given) => given,
  );
  const run = await testRun(load, undefined, { due });
  expect(run.result).toEqual({ from: start.toISOString(), to: end.toISOString() });
});

test("What it makes is validated like any other input", async () => {
  const load = flow({ name: "load", input, dueInput: () => ({ from: "yesterday", to: "" }) }, async () => 1);
  expect((await testRun(load, undefined, { due })).error).toBeInstanceOf(InvalidParameters);
});

const day = z.object({ day: z.string() });

test("It is given what the schedule says", async () => {
  const dueInput = (of: { at: Date }, given: unknown) => ({ day: JSON.stringify([of.at, given]) });
  const load = flow({ name: "load", input: day, dueInput }, async (parameters) => parameters.day);
  const run = await testRun(load, { day: "from the schedule" }, { due });
  expect(run.result).toBe(JSON.stringify([end, { day: "from the schedule" }]));
});

test("A run that somebody asked for has the parameters that they gave, and no instant", async () => {
  const load = flow({ name: "load", input: day, dueInput: () => ({ day: "made" }) }, async (parameters) => [
    parameters.day,
    ctx.due,
  ]);
  expect((await testRun(load, { day: "given" })).result).toEqual(["given", null]);
});

test("A flow knows its instant and its data interval", async () => {
  const seen = flow({ name: "seen" }, async () => ctx.due);
  expect((await testRun(seen, undefined, { due })).result).toEqual(due);
});
