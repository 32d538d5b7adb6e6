import { LIMITS } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { getLogs, listArtifacts } from "../../logs/index.ts";
import { cancelRun, createRun, getRun, listTaskRuns } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { report } from "./report.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
});
afterAll(() => testEnv.close());

const AT = "2026-01-15T12:00:00Z";

async function running() {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  return { fakeWorker, given, id };
}

describe("one bad record does not block the others", () => {
  test("of its control lane", async () => {
    const { fakeWorker, given, id } = await running();
    const answer = await fakeWorker.report(
      given,
      [
        records.task("a", "begin"),
        { type: "task", path: 7 },
        { type: "nonsense" },
        records.task("a", "begin"),
        records.task("a", "complete"),
        records.ended("completed"),
      ],
      { from: 2 },
    );
    expect(answer).toMatchObject({ status: "accepted", controlAcked: 7, outcome: { state: "completed" } });
    expect(answer.rejected.map(({ lane, seq, code }) => [lane, seq, code])).toEqual([
      ["control", 3, "bad-request"],
      ["control", 4, "bad-request"],
      ["control", 5, "run-transition-not-allowed"],
    ]);
    const tasks = await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 });
    expect(tasks.items).toMatchObject([{ path: "a", state: "completed" }]);
  });

  test("of its bulk lane, where a gap replaces its lines", async () => {
    const { fakeWorker, given, id } = await running();
    const bad = { type: "log", firstLine: 1, lines: [{ text: "secret value" }, { text: "other" }] };
    const image = { type: "artifact", at: AT, key: "big", title: "", task: null };
    const answer = await fakeWorker.report(given, [], {
      bulk: [
        records.log(0, ["first"]),
        bad,
        { ...image, body: { kind: "markdown", text: "x".repeat(40_000) } },
        records.log(3, ["last"]),
      ],
    });
    expect(answer.bulkAcked).toBe(4);
    expect(answer.rejected.map(({ seq }) => seq)).toEqual([2, 3]);
    expect(JSON.stringify(answer)).not.toContain("secret value");
    const { entries } = await getLogs(testEnv.deps, tenancy.scope, { runId: id, after: "0:0", limit: 10 });
    expect(entries).toMatchObject([{ text: "first" }, { kind: "gap", line: 1, count: 2 }, { text: "last" }]);
  });

  test("of another attempt in the same report", async () => {
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
    for (let count = 0; count < 2; count++) await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const [one, other] = (await fakeWorker.poll({ free: 2 })).assignments;
    if (one === undefined || other === undefined) throw new Error("two attempts were expected");
    await fakeWorker.report(one, [records.started]);
    await fakeWorker.report(other, [records.started]);
    const control = (over: object) => [{ seq: 2, ...records.task("t", "begin"), ...over }];
    const answer = await report(testEnv.deps, fakeWorker.worker, {
      attempts: [
        { ...one, control: control({ name: "" }), bulk: [] },
        { ...other, control: control({}), bulk: [] },
        { ...one, nonce: "0".repeat(36), control: control({}), bulk: [] },
      ],
    });
    expect(answer.attempts.map(({ status, rejected }) => [status, rejected.length])).toEqual([
      ["accepted", 1],
      ["accepted", 0],
      ["stale", 0],
    ]);
  });
});

test("a hole in a lane's sequence ends the round: the records after it are sent again", async () => {
  const { fakeWorker, given } = await running();
  const hole = await fakeWorker.report(given, [records.task("b", "begin")], {
    from: 3,
    bulk: [records.log(5, ["x"])],
    bulkFrom: 2,
  });
  expect(hole).toMatchObject({ status: "accepted", controlAcked: 1, bulkAcked: 0, rejected: [] });
  const filled = await fakeWorker.report(given, [records.task("a", "begin"), records.task("b", "begin")], {
    from: 2,
  });
  expect(filled).toMatchObject({ controlAcked: 3 });
  const repeated = await fakeWorker.report(
    given,
    [records.task("a", "begin"), records.task("b", "complete")],
    {
      from: 3,
    },
  );
  expect(repeated).toMatchObject({ controlAcked: 4, rejected: [] });
});

test("text that the database cannot hold is replaced in records and kept in log lines", async () => {
  const { fakeWorker, given, id } = await running();
  const text = "nul \0 and half \ud800 a pair";
  const artifact = {
    type: "artifact",
    at: AT,
    key: "k\0",
    title: text,
    task: null,
    body: { kind: "markdown", text },
  };
  const error = { name: "Error", message: text };
  const answer = await fakeWorker.report(
    given,
    [
      records.task(`t\0`, "begin"),
      records.task(`t\0`, "fail", { error }),
      records.ended("failed", { error }),
    ],
    { from: 2, bulk: [records.log(0, [text]), artifact] },
  );
  expect(answer).toMatchObject({ status: "accepted", controlAcked: 4 });
  const replaced = "nul \ufffd and half \ufffd a pair";
  expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({
    error: { message: replaced },
  });
  const { items } = await listArtifacts(testEnv.deps, tenancy.scope, { runId: id, limit: 10 });
  expect(items).toMatchObject([{ key: "k\ufffd", title: replaced, body: { text: replaced } }]);
  const { entries } = await getLogs(testEnv.deps, tenancy.scope, { runId: id, after: "0:0", limit: 10 });
  expect(entries).toMatchObject([{ text }]);
});

test("numbers and instants that a column cannot hold do not fail a report", async () => {
  const { fakeWorker, given, id } = await running();
  const at = "0000-01-01T00:00:00Z";
  const artifact = {
    type: "artifact",
    at,
    key: "k",
    title: "",
    task: null,
    body: { kind: "markdown", text: "" },
  };
  const far = records.log(Number.MAX_SAFE_INTEGER, ["far"]);
  const answer = await fakeWorker.report(
    given,
    [
      records.task("t", "begin", { at, tries: Number.MAX_SAFE_INTEGER }),
      records.ended("failed", { exitCode: 3_221_225_477, lastBulkSeq: Number.MAX_SAFE_INTEGER }),
    ],
    { from: 2, bulk: [artifact, far] },
  );
  expect(answer).toMatchObject({ controlAcked: 3, bulkAcked: 2, rejected: [{ lane: "bulk", seq: 2 }] });
  const run = await getRun(testEnv.deps, tenancy.scope, { runId: id });
  expect(run.attemptList).toMatchObject([{ exitCode: 3_221_225_477 }]);
});

test("each key shows the latest artifact of the latest attempt", async () => {
  const { fakeWorker, given, id } = await running();
  const artifact = (key: string, done: number) => ({
    type: "artifact",
    at: AT,
    key,
    title: key,
    task: null,
    body: { kind: "progress", done, total: 10, unit: "" },
  });
  await fakeWorker.report(given, [], { bulk: [artifact("b", 1), artifact("a", 1), artifact("b", 2)] });
  await fakeWorker.report(given, [], { bulkFrom: 4, bulk: [artifact("b", 3)] });
  const first = await listArtifacts(testEnv.deps, tenancy.scope, { runId: id, limit: 1 });
  expect(first.items).toMatchObject([{ key: "a", body: { done: 1 } }]);
  const second = await listArtifacts(testEnv.deps, tenancy.scope, {
    runId: id,
    limit: 1,
    cursor: first.next ?? "",
  });
  expect(second).toMatchObject({ items: [{ key: "b", body: { done: 3 } }], next: null });
});

test("artifacts of an attempt beyond the limit are rejected alone, and existing keys can still be updated", async () => {
  const { fakeWorker, given, id } = await running();
  const artifact = (key: string, done: number) => ({
    type: "artifact",
    at: AT,
    key,
    title: key,
    task: null,
    body: { kind: "progress", done, total: null, unit: "" },
  });
  const most = LIMITS.artifactKeys;
  const keys = Array.from({ length: most - 1 }, (_, index) => artifact(`k${index}`, 1));
  expect(await fakeWorker.report(given, [], { bulk: keys })).toMatchObject({ rejected: [] });
  const answer = await fakeWorker.report(given, [records.task("t", "begin")], {
    from: 2,
    bulkFrom: most,
    bulk: [artifact("last", 1), artifact("beyond", 1), records.log(0, ["goes on"]), artifact("k0", 2)],
  });
  expect(answer).toMatchObject({ controlAcked: 2, bulkAcked: most + 3 });
  expect(answer.rejected).toMatchObject([
    { lane: "bulk", seq: most + 1, code: "too-many-artifacts", detail: expect.stringContaining(`${most}`) },
  ]);
  const { items } = await listArtifacts(testEnv.deps, tenancy.scope, { runId: id, limit: most + 1 });
  expect(items).toHaveLength(most);
  expect(items.find(({ key }) => key === "k0")).toMatchObject({ body: { done: 2 } });
  const { entries } = await getLogs(testEnv.deps, tenancy.scope, { runId: id, after: "0:0", limit: 10 });
  expect(entries).toMatchObject([{ text: "goes on" }]);
});

test("the answer repeats the command to stop until the attempt has ended", async () => {
  const { fakeWorker, given, id } = await running();
  await cancelRun(testEnv.deps, tenancy.scope, { runId: id, reason: "enough" });
  for (let round = 0; round < 2; round++) {
    const answer = await report(testEnv.deps, fakeWorker.worker, {
      attempts: [{ ...given, control: [], bulk: [] }],
    });
    expect(answer.commands).toEqual([{ kind: "cancel", attemptId: given.attemptId, reason: "enough" }]);
  }
});

test("a report of many attempts with a thousand lines each is stored whole", async () => {
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const many = await Promise.all(
    Array.from({ length: 5 }, () => createRun(testEnv.deps, tenancy.scope, tenancy.request())),
  );
  const { assignments } = await fakeWorker.poll({ free: 10 });
  expect(assignments).toHaveLength(many.length);
  const texts = Array.from({ length: 1_000 }, (_, index) => `line ${index}`);
  const answer = await report(testEnv.deps, fakeWorker.worker, {
    attempts: assignments.map((given) => ({
      attemptId: given.attemptId,
      epoch: given.epoch,
      nonce: given.nonce,
      control: [{ seq: 1, ...records.started }],
      bulk: [{ seq: 1, ...records.log(0, texts) }],
    })),
  });
  expect(answer.attempts.every((one) => one.status === "accepted" && one.bulkAcked === 1)).toBe(true);
  const [stored] = await testEnv.deps.database.db.execute<{ lines: number }>(
    sql`select sum(line_count)::int as lines from log_chunk
      where attempt_id in (select id from attempt where workspace_id = ${tenancy.scope.workspaceId}
        and worker_id = ${fakeWorker.worker.workerId})`,
  );
  expect(stored?.lines).toBe(5_000);
});
