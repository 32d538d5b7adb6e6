import { derivedId, type Json, newWorkspaceKey, openKeyring, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { records } from "../../fake-worker.fixture.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { callBack } from "../jobs/call-back.ts";
import { answerWait } from "../waits/answer.ts";
import { sendEvent } from "../waits/events.ts";
import { question, startedIn } from "../waits/waiting-flow.fixture.ts";
import { listPlainAnswers } from "./plain.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

/** A run with a question of any answer, which gets this one. */
async function answered(answer: Json) {
  const flow = await startedIn(testEnv);
  await flow.ask("q", { ...question, schema: {} });
  const { scope } = flow.tenancy;
  await answerWait(testEnv.deps, scope, { runId: flow.id, waitId: await derivedId(flow.id, "q"), answer });
  return flow;
}

const listed = ({ tenancy }: Awaited<ReturnType<typeof answered>>) =>
  listPlainAnswers(testEnv.deps.database.db, { workspaceId: tenancy.scope.workspaceId, limit: 10 });

test.each([[{ ok: true }], [true], [false], [0], ["yes"], [[1]], [{ sealed: "yes" }]])(
  "an open run with the plain answer %j is listed until it ends",
  async (answer) => {
    const flow = await answered(answer);
    expect(await listed(flow)).toEqual([flow.id]);
    await flow.fakeWorker.report(flow.given, [records.ended("completed")], { from: 2 });
    expect(await listed(flow)).toEqual([]);
  },
);

test.each([[{}], [[]], [""], [null]])("a run with the empty answer %j is not listed", async (answer) => {
  expect(await listed(await answered(answer))).toEqual([]);
});

test("a run with a sealed answer is not listed, nor one that only waits or whose time has come", async () => {
  const ring = await openKeyring([newWorkspaceKey()]);
  const place = { workspace: "w", deployment: "flow", field: "answer", origin: "run/1" } as const;
  const flow = await answered({ sealed: await ring.seal(place, "true") });
  await flow.ask("for", { kind: "for", ms: 0 });
  await flow.ask("open", question);
  await flow.ask("event", { kind: "event", name: "landed" });
  expect(await listed(flow)).toEqual([]);
  await sendEvent(testEnv.deps, flow.tenancy.scope, {
    id: uuidv7(testEnv.clock.nowMs()),
    name: "landed",
    payload: { at: 1 },
  });
  expect(await listed(flow)).toEqual([flow.id]);
});

test.each([
  [undefined, false],
  [{ rows: 3 }, true],
])("a run whose job's callback had the result %j is listed: %s", async (result, isListed) => {
  const flow = await answered({});
  const token = "a-token-of-a-callback";
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  const callback = Buffer.from(digest).toString("hex");
  await flow.ask("job", { kind: "job", job: "probe", pollEveryMs: null, cancels: false, callback });
  const { workspaceId } = flow.tenancy.scope;
  const report = { outcome: "completed", ...(result !== undefined && { result }) } as const;
  const jobId = await derivedId(flow.id, "job");
  await callBack(testEnv.deps, { workspaceId, jobId, token, report: { result: null, ...report } });
  expect(await listed(flow)).toEqual(isListed ? [flow.id] : []);
});
