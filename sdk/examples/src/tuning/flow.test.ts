import { EXPIRED, testRun } from "towpath/test";
import { expect, test } from "vitest";
import { locateDataFile } from "../data-file.ts";
import { readPenguins } from "../penguins/penguins.ts";
import { tuning } from "./flow.ts";
import { crossValidate } from "./neighbours.ts";

const NEIGHBOURS = [5, 25, 49, 99];
const QUESTION = "Publish the model with neighbours = 5?";

test("after a kill during training it trains only the other candidates, asks, and publishes the approved model", async () => {
  const killed = await testRun(tuning, { neighbours: NEIGHBOURS }, { killAfter: 2 });
  expect(killed.outcome).toBe("killed");
  const asks = await killed.resume();
  expect(asks).toMatchObject({ outcome: "suspended", waits: [`wait:input:${QUESTION}`] });
  const again = asks.executions.train ?? 0;
  // Two had completed, and at most one more was running.
  expect(again).toBeGreaterThanOrEqual(NEIGHBOURS.length);
  expect(again).toBeLessThanOrEqual(NEIGHBOURS.length + 1);
  expect(asks.artifacts.get("candidates")?.body).toMatchObject({ rows: { length: NEIGHBOURS.length } });

  const published = await asks.resume({ answers: { [QUESTION]: { publish: true } } });
  expect(published).toMatchObject({ outcome: "completed", executions: { train: again, publish: 1 } });
  expect(published.result?.best).toMatchObject({ neighbours: 5 });
  expect(published.result?.best.accuracy).toBeGreaterThan(0.95);
  const { model } = published.result ?? {};
  if (!model) throw new TypeError("nothing was published");
  expect(await published.store.load(model)).toEqual(published.result?.best);
});

test("publishes nothing after a no, fails without an answer, and asks nobody with ask=false", async () => {
  const no = await testRun(tuning, { neighbours: [5] }, { answers: { [QUESTION]: { publish: false } } });
  expect(no).toMatchObject({ outcome: "completed", result: { model: null }, executions: { train: 1 } });
  const late = await testRun(tuning, { neighbours: [5] }, { answers: { [QUESTION]: EXPIRED } });
  expect(late).toMatchObject({ outcome: "failed", error: { name: "WaitExpired" } });
  const alone = await testRun(tuning, { neighbours: [5], ask: false });
  expect(alone).toMatchObject({ outcome: "completed", executions: { publish: 1 } });
});

test("more neighbours than a species has penguins predict worse than a few", async () => {
  const { penguins } = await readPenguins({ path: locateDataFile({ name: "penguins.json" }) });
  const few = crossValidate(penguins, { neighbours: 5, folds: 10 });
  expect(crossValidate(penguins, { neighbours: 300, folds: 10 }).accuracy).toBeLessThan(few.accuracy);
  expect(crossValidate([], { neighbours: 1, folds: 2 }).accuracy).toBe(0);
});
