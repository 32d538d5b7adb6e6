import { CalledRun, deploymentNameOf, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records, renew } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { getRun } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

/** Everything that a write could have changed, save counted late reports. */
async function everything(workspaceId: string): Promise<unknown> {
  const { db } = testEnv.deps.database;
  const tables = ["run", "attempt", "task_run", "log_chunk", "artifact", "change", "run_key"];
  const found: unknown[] = [];
  for (const table of tables) {
    const rows = await db.execute(
      sql`select to_jsonb(t) - 'position' as row from ${sql.identifier(table)} t
        where t.workspace_id = ${workspaceId} order by to_jsonb(t)::text`,
    );
    found.push([...rows]);
  }
  return found;
}

async function started(stage: string | null = null) {
  const tenancy = await openTenancy(testEnv, { mayStart: ["flow"] });
  const deployment = deploymentNameOf({ deployment: "flow", stage });
  if (stage !== null) await tenancy.deploy("flow", { stage, mayStart: ["flow", "sibling"] });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request({ deployment }));
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  return { tenancy, id, fakeWorker, given };
}

describe("a write that does not hold the attempt's fence changes nothing", () => {
  const wrong = {
    "an earlier epoch": (given: { epoch: number }) => ({ epoch: given.epoch + 1 }),
    "another nonce": () => ({ nonce: "0".repeat(36) }),
    "a nonce that cannot be stored": () => ({ nonce: "\0".repeat(36) }),
    "an unknown attempt": () => ({ attemptId: uuidv7(0) }),
  };
  test.each(Object.entries(wrong))("%s", async (_, change) => {
    const { tenancy, fakeWorker, given } = await started();
    const { workspaceId } = tenancy.scope;
    const fence = { attemptId: given.attemptId, epoch: given.epoch, nonce: given.nonce, ...change(given) };
    const before = await everything(workspaceId);
    const late = [records.task("t", "begin"), records.released, records.ended("completed")];
    const answer = await fakeWorker.report(fence, late, { from: 2, bulk: [records.log(0, ["late"])] });
    expect(answer).toMatchObject({ status: "stale", rejected: [] });
    const plain = await fakeWorker.report(fence, [records.ended("completed")], { from: 2 });
    expect(plain).toMatchObject({ status: "stale", rejected: [], outcome: null });
    const renewed = await renew(testEnv.deps, fakeWorker.worker, { held: [fence] });
    expect(renewed.leases).toMatchObject([{ status: "gone" }]);
    const asked = { kind: "start-run", path: "p", deployment: "flow", parameters: {} } as const;
    const called = call(testEnv.deps, fakeWorker.worker, { ...fence, callId: uuidv7(1), call: asked });
    await expect(called).rejects.toMatchObject({ code: "stale-fence" });
    expect(await everything(workspaceId)).toEqual(before);
  });

  test("another worker of the same workspace, with everything right but itself", async () => {
    const { tenancy, given } = await started();
    const other = new FakeWorker(testEnv, await tenancy.worker("other"));
    const before = await everything(tenancy.scope.workspaceId);
    expect(await other.report(given, [records.ended("completed")], { from: 2 })).toMatchObject({
      status: "stale",
    });
    const renewed = await renew(testEnv.deps, other.worker, { held: [given] });
    expect(renewed.leases).toMatchObject([{ status: "gone" }]);
    expect(await everything(tenancy.scope.workspaceId)).toEqual(before);
  });

  test("a worker of another workspace", async () => {
    const { tenancy, given } = await started();
    const stranger = new FakeWorker(testEnv, await (await openTenancy(testEnv)).worker());
    const before = await everything(tenancy.scope.workspaceId);
    expect(await stranger.report(given, [records.ended("completed")], { from: 2 })).toMatchObject({
      status: "stale",
      outcome: null,
    });
    expect(await everything(tenancy.scope.workspaceId)).toEqual(before);
  });
});

test("a late report is counted where it can be seen", async () => {
  const { tenancy, id, fakeWorker, given } = await started();
  const fence = { ...given, nonce: "0".repeat(36) };
  await fakeWorker.report({ ...given, epoch: 7 }, [records.ended("completed")]);
  await fakeWorker.report(fence, [records.ended("completed")], { bulk: [records.log(0, ["late"])] });
  await fakeWorker.report(fence, [records.ended("completed")]);
  const [late] = await testEnv.deps.database.db.execute(
    sql`select reports, records::int, to_json(kinds) as kinds from late_report where attempt_id = ${given.attemptId}`,
  );
  expect(late).toEqual({ reports: 2, records: 3, kinds: ["ended", "log"] });
  const { attemptList } = await getRun(testEnv.deps, tenancy.scope, { runId: id });
  expect(attemptList[0]?.lateReports).toMatchObject([
    { workerId: fakeWorker.worker.workerId, epoch: 1, reports: 2, records: 3, kinds: ["ended", "log"] },
  ]);
});

describe("a call", () => {
  test("starts a child once per call id, however often it is repeated", async () => {
    const { tenancy, fakeWorker, given, id } = await started();
    const asked = { kind: "start-run", path: "child", deployment: "flow", parameters: { a: 1 } } as const;
    const request = { ...given, callId: uuidv7(2), call: asked };
    const first = CalledRun.parse(await call(testEnv.deps, fakeWorker.worker, request));
    expect(first).toMatchObject({ runId: request.callId, state: "ready", cause: null, result: null });
    const again = await call(testEnv.deps, fakeWorker.worker, {
      ...request,
      call: { ...asked, parameters: { a: 2 } },
    });
    expect(again).toEqual(first);
    const child = await getRun(testEnv.deps, tenancy.scope, { runId: first.runId });
    expect(child).toMatchObject({ trigger: { kind: "run", runId: id, path: "child" }, parameters: { a: 1 } });
    const asks = { ...given, callId: uuidv7(3), call: { kind: "get-run", runId: first.runId } as const };
    expect(await call(testEnv.deps, fakeWorker.worker, asks)).toEqual(first);
  });

  test("starts the deployment of the flow's own stage, else the one without a stage, and keeps to it", async () => {
    const { fakeWorker, given, tenancy } = await started("prod");
    const start = async (deployment: string, callId: string) => {
      const asked = { kind: "start-run", path: callId, deployment, parameters: {} } as const;
      const { runId } = CalledRun.parse(
        await call(testEnv.deps, fakeWorker.worker, { ...given, callId, call: asked }),
      );
      return (await getRun(testEnv.deps, tenancy.scope, { runId })).deployment;
    };
    expect(await start("flow", uuidv7(6))).toBe("flow@prod");
    await tenancy.deploy("sibling");
    const first = uuidv7(7);
    expect(await start("sibling", first)).toBe("sibling");
    await tenancy.deploy("sibling", { stage: "prod" });
    expect(await start("sibling", first)).toBe("sibling");
    expect(await start("sibling", uuidv7(8))).toBe("sibling@prod");
    await tenancy.deploy("sibling", { stage: "test" });
    await expect(start("sibling@test", uuidv7(9))).rejects.toMatchObject({ code: "forbidden" });
  });

  test("may start only what the signed spec names, and sees only its workspace", async () => {
    const { fakeWorker, given, tenancy } = await started();
    await tenancy.deploy("other");
    const asked = { kind: "start-run", path: "child", deployment: "other", parameters: {} } as const;
    const refused = call(testEnv.deps, fakeWorker.worker, { ...given, callId: uuidv7(4), call: asked });
    await expect(refused).rejects.toMatchObject({ code: "forbidden" });
    const elsewhere = await started();
    const asks = { ...given, callId: uuidv7(5), call: { kind: "get-run", runId: elsewhere.id } as const };
    await expect(call(testEnv.deps, fakeWorker.worker, asks)).rejects.toMatchObject({
      code: "run-not-found",
    });
  });
});
