import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { type Run, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type Stack, startStack, type TestDatabase } from "../harness/index.ts";
import { deployHeld, heldPid, ledger, letGo } from "./fixture.ts";

let database: TestDatabase;
let stack: Stack;

beforeAll(async () => {
  database = await createTestDatabase();
  stack = await startStack({ database });
  await deployHeld(stack);
  const worker = await stack.startWorker();
  await worker.waitFor(/polling for work/);
}, 240_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

async function start(): Promise<{ id: string; folder: string }> {
  const folder = await mkdtemp(join(stack.folder, "work-"));
  const id = uuidv7(Date.now());
  await stack.client.createRun({ body: { id, deployment: "held", parameters: { folder } } });
  return { id, folder };
}

/** Polls a run until `until` is true. The database is away for a moment while it goes back. */
async function until(id: string, isSo: (run: Run) => boolean): Promise<Run> {
  for (;;) {
    const run = await stack.client.getRun({ params: { runId: id } }).catch(() => null);
    if (run !== null && isSo(run)) return run;
    await new Promise(setImmediate);
  }
}

test("runs that had ended, were running or were starting when the database went back end as usual, once each", async () => {
  const [ended, running, forgotten] = [await start(), await start(), await start()];
  for (const { folder } of [ended, running]) await heldPid(folder);
  const copy = await database.snapshot();
  await letGo(ended.folder);
  await until(ended.id, (run) => run.endedAt !== null);
  await heldPid(forgotten.folder);
  await copy.goBack();
  for (const { folder } of [running, forgotten]) await letGo(folder);
  for (const { id, folder } of [ended, running, forgotten]) {
    const run = await until(id, ({ endedAt }) => endedAt !== null);
    expect(run).toMatchObject({ state: "completed", attempts: 1 });
    expect((await ledger(folder)).map((line) => line.split(" ")[0])).toEqual(["first", "hold"]);
  }
}, 240_000);
