import { derivedId } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { untilBlocked } from "../../blocked.fixture.ts";
import { inTransaction } from "../../kernel/index.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { cancelRun } from "../requests/requests.ts";
import { settleWaits } from "../waits/resume.ts";
import { question, startedIn } from "../waits/waiting-flow.fixture.ts";
import { cancelWithin } from "./cancel.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

async function suspended() {
  const flow = await startedIn(testEnv);
  await flow.ask("ok", question);
  await flow.suspend(["ok"]);
  const name = { workspaceId: flow.tenancy.scope.workspaceId, runId: flow.id };
  const cancel = () =>
    inTransaction(testEnv.deps, (tx) => cancelWithin(tx, testEnv.deps, { ...name, reason: "due" }));
  return { flow, name, cancel };
}

test("a run that gets an attempt while its cancellation waits for locks is cancelled all the same", async () => {
  const { flow, name, cancel } = await suspended();
  const { workspaceId, runId } = name;
  const cancelling = await inTransaction(testEnv.deps, async (tx) => {
    await tx.execute(sql`select 1 from run where workspace_id = ${workspaceId} and id = ${runId} for update`);
    const begun = { done: cancel() };
    await untilBlocked(testEnv);
    const id = await derivedId(runId, "ok");
    await settleWaits(tx, testEnv.deps, { workspaceId, waits: [{ id, runId, by: "satisfy" }] });
    return begun;
  });
  expect(await cancelling.done).toBe(true);
  expect(await flow.state()).toBe("cancelled");
});

test("a run that has ended meanwhile stays unchanged, and the transaction continues", async () => {
  const { flow, name, cancel } = await suspended();
  await cancelRun(testEnv.deps, flow.tenancy.scope, { runId: name.runId, reason: "first" });
  expect(await cancel()).toBe(true);
  const done = await startedIn(testEnv, flow.tenancy);
  await done.fakeWorker.report(
    done.given,
    [
      {
        type: "ended",
        at: "2026-01-15T12:00:00.000Z",
        outcome: "completed",
        cause: null,
        exitCode: 0,
        lastBulkSeq: 0,
      },
    ],
    { from: 2 },
  );
  const after = await inTransaction(testEnv.deps, async (tx) => {
    const was = await cancelWithin(tx, testEnv.deps, { ...name, runId: done.id, reason: "due" });
    await tx.execute(sql`select 1`);
    return was;
  });
  expect(after).toBe(true);
  expect(await done.state()).toBe("completed");
});
