import { derivedId } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { getRun, getRunWhy } from "../read/read.ts";
import { cancelRun, createRun } from "../requests/requests.ts";
import { orphansPeriodicJob, waitsPeriodicJob } from "./periodic-jobs.ts";
import { HOUR_MS, question, startedIn } from "./waiting-flow.fixture.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const started = (tenancy?: Tenancy) => startedIn(testEnv, tenancy);

describe("a run that waits for another", () => {
  test("goes on when that one has ended, however it ended", async () => {
    const flow = await started();
    const { scope } = flow.tenancy;
    const { id } = await createRun(testEnv.deps, scope, flow.tenancy.request());
    await flow.ask("child", { kind: "run", runId: id });
    await flow.suspend(["child"]);
    await cancelRun(testEnv.deps, scope, { runId: id, reason: "" });
    await waitsPeriodicJob.runOnce(testEnv.deps);
    const next = await flow.resumed();
    const run = { runId: id, state: "cancelled", cause: "user", result: null };
    expect(await next.ask("child", { kind: "run", runId: id })).toMatchObject({ state: "satisfied", run });
  });

  test("that has ended already is answered at once", async () => {
    const flow = await started();
    const { scope } = flow.tenancy;
    const { id } = await createRun(testEnv.deps, scope, flow.tenancy.request());
    await cancelRun(testEnv.deps, scope, { runId: id, reason: "" });
    expect(await flow.ask("child", { kind: "run", runId: id })).toMatchObject({ state: "satisfied" });
  });

  test("must not be itself, and must be of its workspace", async () => {
    const flow = await started();
    await expect(flow.ask("self", { kind: "run", runId: flow.id })).rejects.toMatchObject({
      code: "forbidden",
    });
    const other = await started();
    const foreign = flow.ask("other", { kind: "run", runId: other.id });
    await expect(foreign).rejects.toMatchObject({ code: "run-not-found" });
  });
});

describe("why a suspended run waits", () => {
  test("has a reason for each wait, with the event that resumes the run", async () => {
    const flow = await started();
    await flow.ask("ok", { ...question, deadlineMs: HOUR_MS });
    await flow.ask("for", { kind: "for", ms: HOUR_MS });
    await flow.ask("event", { kind: "event", name: "landed", key: "a" });
    await flow.suspend(["ok", "for", "event"]);
    const { reasons, cycle } = await getRunWhy(testEnv.deps, flow.tenancy.scope, { runId: flow.id });
    const at = new Date(testEnv.clock.nowMs() + HOUR_MS).toISOString();
    expect(reasons.map(({ kind, text }) => [kind, text]).sort()).toEqual([
      [
        "answer",
        `It asks "Publish?". People with the role operator or above can answer with \`towpath answer ${flow.id}\`. The wait expires at ${at}.`,
      ],
      ["event", 'It waits for the event "landed" about "a": `towpath event landed --about a` sends one.'],
      ["time", `It waits until ${at}.`],
    ]);
    expect(cycle).toEqual([]);
  });

  test("names the runs that wait for each other", async () => {
    const one = await started();
    const other = await started(one.tenancy);
    await one.ask("run", { kind: "run", runId: other.id });
    await other.ask("run", { kind: "run", runId: one.id });
    await one.suspend(["run"]);
    await other.suspend(["run"]);
    const why = await getRunWhy(testEnv.deps, one.tenancy.scope, { runId: one.id });
    expect(why.cycle.toSorted()).toEqual([one.id, other.id].toSorted());
    expect(why.reasons).toMatchObject([{ kind: "run" }]);
  });
});

describe("children", () => {
  /** A parent at work whose flow has started two children: one that ends with it, and one that does not. */
  async function withChildren() {
    const tenancy = await openTenancy(testEnv, { mayStart: ["flow"] });
    const flow = await started(tenancy);
    const { attemptId, epoch, nonce } = flow.given;
    const start = async (path: string, onParentEnd: "cancel" | "abandon") => {
      const callId = await derivedId(flow.id, path);
      const asked = { kind: "start-run", path, deployment: "flow", parameters: {}, onParentEnd } as const;
      await call(testEnv.deps, flow.fakeWorker.worker, { attemptId, epoch, nonce, callId, call: asked });
      return callId;
    };
    const [bound, free] = [await start("bound", "cancel"), await start("free", "abandon")];
    const stateOf = async (runId: string) => (await getRun(testEnv.deps, tenancy.scope, { runId })).state;
    return { flow, tenancy, bound, free, stateOf };
  }

  test("end with their parent where they are to, however it ends", async () => {
    for (const outcome of ["completed", "failed"]) {
      const { flow, bound, free, stateOf } = await withChildren();
      await flow.fakeWorker.report(flow.given, [records.ended(outcome, { cause: null })], { from: 2 });
      await orphansPeriodicJob.runOnce(testEnv.deps);
      expect([await stateOf(bound), await stateOf(free)]).toEqual(["cancelled", "ready"]);
    }
  });

  test("end with a parent that is cancelled while it waits for them, and theirs with them", async () => {
    const { flow, tenancy, bound, stateOf } = await withChildren();
    await flow.ask("child", { kind: "run", runId: bound });
    await flow.suspend(["child"]);
    await cancelRun(testEnv.deps, tenancy.scope, { runId: flow.id, reason: "" });
    await orphansPeriodicJob.runOnce(testEnv.deps);
    await waitsPeriodicJob.runOnce(testEnv.deps);
    expect([await stateOf(flow.id), await stateOf(bound)]).toEqual(["cancelled", "cancelled"]);
    expect(await testEnv.deps.database.db.execute(sql`select * from orphaning`)).toHaveLength(0);
  });
});
