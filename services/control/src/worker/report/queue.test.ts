import type { Assignment } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, type RecordBody, records } from "../../fake-worker.fixture.ts";
import { createRun, getRun } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { ReportQueue } from "./queue.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
});
afterAll(() => testEnv.close());

/** Workers with one attempt each that report through one queue. */
async function fleet(count: number) {
  const queue = new ReportQueue();
  const holders: { fakeWorker: FakeWorker; given: Assignment }[] = [];
  for (let index = 0; index < count; index++) {
    await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker(`w${Math.random()}`));
    holders.push({ fakeWorker, given: await fakeWorker.take() });
  }
  const report = async ({ fakeWorker, given }: (typeof holders)[number], seq: number, record: RecordBody) => {
    const { attemptId, epoch, nonce } = given;
    const attempts = [{ attemptId, epoch, nonce, control: [{ seq, ...record }], bulk: [] }];
    return queue.report(testEnv.deps, fakeWorker.worker, { attempts });
  };
  const stateOf = async (runId: string) => (await getRun(testEnv.deps, tenancy.scope, { runId })).state;
  return { holders, report, stateOf };
}

test("simultaneous reports of many workers are all applied, in shared transactions", async () => {
  const { holders, report, stateOf } = await fleet(12);
  const before = await transactions();
  const started = await Promise.all(holders.map((one) => report(one, 1, records.started)));
  expect((await transactions()) - before).toBeLessThan(holders.length);
  for (const [index, answer] of started.entries()) {
    const attemptId = holders[index]?.given.attemptId;
    expect(answer).toMatchObject({
      attempts: [{ attemptId, status: "accepted", controlAcked: 1 }],
      commands: [],
    });
  }
  const outcomes = ["completed", "failed"];
  await Promise.all(holders.map((one, index) => report(one, 2, records.ended(outcomes[index % 2] ?? ""))));
  const states = await Promise.all(holders.map(({ given }) => stateOf(given.runId)));
  expect(states).toEqual(holders.map((_, index) => outcomes[index % 2]));
});

test("a stale fence, an illegal move and a repeated start do not affect the other reports", async () => {
  const { holders, report, stateOf } = await fleet(4);
  const [first, stale, early, repeated] = holders;
  if (!first || !stale || !early || !repeated) throw new Error("a fleet of four");
  const forged = { ...stale, given: { ...stale.given, epoch: 7 } };
  const answers = await Promise.all([
    report(first, 1, records.started),
    report(forged, 1, records.started),
    report(early, 1, records.ended("completed")),
    report(repeated, 1, records.started),
    report(repeated, 1, records.started),
  ]);
  expect(answers.map((answer) => answer.attempts[0])).toMatchObject([
    { status: "accepted", controlAcked: 1, rejected: [] },
    { status: "stale" },
    { status: "accepted", rejected: [{ code: "run-transition-not-allowed" }] },
    { status: "accepted", controlAcked: 1, rejected: [] },
    { status: "accepted", controlAcked: 1, rejected: [] },
  ]);
  const states = await Promise.all(holders.map(({ given }) => stateOf(given.runId)));
  expect(states).toEqual(["running", "claimed", "claimed", "running"]);
});

test("a report that the database refuses fails alone", async () => {
  const { holders, report, stateOf } = await fleet(3);
  const [, poison] = holders;
  // An unexpected fault: this attempt's run can no longer start.
  await testEnv.deps.database.db.execute(
    sql`update run set state = 'suspended' where id = ${poison?.given.runId ?? null}`,
  );
  const answers = await Promise.allSettled(holders.map((one) => report(one, 1, records.started)));
  expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await stateOf(holders[2]?.given.runId ?? "")).toBe("running");
});

/** The number of transactions that have written the attempts' rows. */
async function transactions(): Promise<number> {
  const [row] = await testEnv.deps.database.db.execute<{ count: number }>(
    sql`select count(distinct xmin::text)::int as count from attempt where workspace_id = ${tenancy.scope.workspaceId}
      and state = 'running'`,
  );
  return row?.count ?? 0;
}
