import { testRun } from "towpath/test";
import { expect, test } from "vitest";
import { flights } from "./flow.ts";
import { decodeModel } from "./model.ts";

test("the flow publishes a model from the file, and shows its quality", {
  timeout: 120_000,
}, async () => {
  const run = await testRun(flights, { sample: 600_000, epochs: 2 });
  expect(run.error).toBeUndefined();
  expect(run.tasks.map(({ name, state }) => `${name} ${state}`)).toEqual([
    "ingest completed",
    "validate completed",
    "features completed",
    "train completed",
    "evaluate completed",
    "publish completed",
  ]);
  expect([...run.artifacts.keys()].sort()).toEqual([
    "calibration",
    "features",
    "ingest",
    "metrics",
    "summary",
    "train",
  ]);
  expect(run.result?.auc).toBeGreaterThan(0.6);
  const model = run.result && (await run.store.load(run.result.model));
  expect(decodeModel(JSON.stringify(model)).trained.epochs).toBe(2);
  expect(run.artifacts.get("train")?.body).toMatchObject({ kind: "progress", done: expect.any(Number) });
});

test("a missing file fails the ingest task, with the reason", async () => {
  const run = await testRun(flights, { data: "missing.parquet" });
  expect(run.outcome).toBe("failed");
  expect(run.tasks).toMatchObject([{ name: "ingest", state: "failed", tries: 1 }]);
  expect(run.error).toMatchObject({ name: "FlightsProblem", code: "unreadable-file" });
});

test("a cancellation stops the flow in the middle of its work", async () => {
  const controller = new AbortController();
  const running = testRun(flights, { sample: 600_000 }, { signal: controller.signal });
  setImmediate(() => controller.abort());
  expect((await running).outcome).toBe("cancelled");
});
