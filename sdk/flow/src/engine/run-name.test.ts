import { expect, test } from "vitest";
import { z } from "zod";
import { flow, InvalidDefinition } from "../index.ts";
import { testRun } from "../testing.ts";
import { runNameOf } from "./run-name.ts";

const none = () => {};

test("a template has values of the input in it, in one line of at most 200 characters", () => {
  const input = { model: "xgb", data: { day: new Date(0), rows: 3 }, tags: ["a"], none: null };
  expect(runNameOf("train {model} on {data.day}, {data.rows}", input, none)).toBe(
    "train xgb on 1970-01-01T00:00:00.000Z, 3",
  );
  expect(runNameOf('{tags} {missing}{none} {data.constructor} {"x"}', input, none)).toBe('["a"]   {"x"}');
  expect(runNameOf("a\n\tb", {}, none)).toBe("a b");
  expect(runNameOf("{none}", input, none)).toBeNull();
  expect(runNameOf("x".repeat(500), {}, none)).toHaveLength(200);
});

test("a run's name is made of its validated input, and told before its function begins", async () => {
  const input = z.object({ model: z.string().default("forest") });
  const made = await testRun(flow({ name: "f", input, runName: "train {model}" }, async () => 1));
  expect(made.records[0]).toMatchObject({ type: "run-name", name: "train forest" });
  const called = flow({ name: "f", input, runName: ({ model }) => model.toUpperCase() }, async () => 1);
  expect((await testRun(called, { model: "net" })).name).toBe("NET");
  expect((await testRun(flow({ name: "f" }, async () => 1))).name).toBeNull();
});

test("a name that cannot be made is warned of, and the run goes on without", async () => {
  const runName = () => {
    throw new Error("no such field");
  };
  const run = await testRun(flow({ name: "f", runName }, async () => 1));
  expect(run).toMatchObject({ outcome: "completed", name: null });
  expect(run.logs).toMatchObject([{ level: "warn", text: expect.stringContaining("no such field") }]);
  const wrong: never = 3 as never;
  expect(() => flow({ name: "f", runName: wrong }, async () => 1)).toThrow(InvalidDefinition);
});
