import {
  CreateBackfill,
  Deployment,
  DeploymentVersion,
  page,
  ScheduleSettings,
  type SpecInput,
  uuidv7,
} from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { getDeployment, getVersionDetail } from "../deployments/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { cancelRun, createRun, getRun, listLimits, listRuns, setLimit } from "../runs/index.ts";
import { SLICES } from "../slices.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { cancelBackfill, createBackfill } from "./backfills/backfills.ts";
import { deleteDeployment } from "./remove-deployment.ts";
import { listSchedules, setSchedule } from "./schedules.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const DAILY: SpecInput["schedules"] = [
  { name: "daily", timing: { kind: "cron", cron: "0 0 * * *", zone: "UTC" } },
];
const WHOLE: Partial<SpecInput> = {
  schedules: DAILY,
  concurrency: { limit: 1, collision: "enqueue" },
  limits: [{ name: "db", slots: 1 }],
};

const remove = ({ scope }: Tenancy, name = "flow") => deleteDeployment(testEnv.deps, { scope, name });
const create = (tenancy: Tenancy) => createRun(testEnv.deps, tenancy.scope, tenancy.request());
const cancel = (tenancy: Tenancy, runId: string) =>
  cancelRun(testEnv.deps, tenancy.scope, { runId, reason: "" });

/** The answer to a request of somebody in the workspace. */
async function get({ scope }: Tenancy, path: string): Promise<unknown> {
  const { deps } = testEnv;
  const app = openTestApp({ deps, slices: SLICES, identify: async () => ({ kind: "person", scope }) });
  return (await app.request(path)).json();
}

/** What people see of a workspace's deployments. */
async function seen(tenancy: Tenancy) {
  const { deps } = testEnv;
  const first = { scope: tenancy.scope, limit: 10 };
  const limits = await listLimits(deps, first);
  const { items } = page(Deployment).parse(await get(tenancy, "/api/deployments"));
  return {
    deployments: items.map(({ name, latest }) => [name, latest.version]),
    schedules: (await listSchedules(deps, first)).items.map(({ name }) => name),
    limits: limits.items.map(({ kind, name }) => `${kind} ${name}`),
  };
}

async function whole(): Promise<Tenancy> {
  const tenancy = await openTenancy(testEnv);
  const limit = { name: "db", kind: "named" as const, slots: 3, perMs: null, collision: "enqueue" as const };
  await setLimit(testEnv.deps, { scope: tenancy.scope, input: limit });
  await tenancy.deploy("flow", { version: 2, ...WHOLE });
  return tenancy;
}

describe("a removed deployment", () => {
  test("is gone with its schedules and its limit; runs, versions, shared limits and other workspaces stay", async () => {
    const [tenancy, other] = [await whole(), await whole()];
    const { id } = await create(tenancy);
    await cancel(tenancy, id);
    const everything = await seen(other);
    expect(everything).toEqual({
      deployments: [["flow", 2]],
      schedules: ["daily"],
      limits: ["deployment flow", "named db"],
    });
    await remove(tenancy);
    expect(await seen(tenancy)).toEqual({ deployments: [], schedules: [], limits: ["named db"] });
    expect(await seen(other)).toEqual(everything);
    const { scope } = tenancy;
    const { workspaceId } = scope;
    expect((await getRun(testEnv.deps, scope, { runId: id })).version).toBe(2);
    const text = await listRuns(testEnv.deps, scope, { limit: 5, text: "flow" });
    expect(text.items.map((run) => run.id)).toEqual([id]);
    const versions = page(DeploymentVersion).parse(await get(tenancy, "/api/deployments/flow/versions"));
    expect(versions.items.map(({ version }) => version)).toEqual([2, 1]);
    const detail = await getVersionDetail(testEnv.deps, { scope, name: "flow", version: 2 });
    expect(detail.version.version).toBe(2);
    const gone = getDeployment(testEnv.deps.database.db, { workspaceId, name: "flow" });
    await expect(gone).rejects.toMatchObject({
      code: "deployment-not-found",
      detail: 'Deployment "flow" was removed by tester; `towpath deploy` registers it again',
    });
  });

  test("starts no run, although a process still knows its latest version", async () => {
    const tenancy = await openTenancy(testEnv);
    await cancel(tenancy, (await create(tenancy)).id);
    const { sql } = testEnv.deps.database;
    await sql`update deployment set removed_version = latest_version where workspace_id = ${tenancy.scope.workspaceId}`;
    await expect(create(tenancy)).rejects.toMatchObject({ code: "deployment-not-found" });
  });

  test("continues its version numbers when it is deployed again", async () => {
    const tenancy = await whole();
    await remove(tenancy);
    // The request that registered version 1, repeated after a lost answer, does not bring it back.
    await expect(tenancy.deploy("flow")).rejects.toMatchObject({ code: "deployment-not-found" });
    await expect(tenancy.deploy("flow", { priority: 1 })).rejects.toMatchObject({
      code: "version-conflict",
      detail: expect.stringContaining('The next version of "flow" is 3'),
    });
    await tenancy.deploy("flow", { version: 3, ...WHOLE });
    expect(await seen(tenancy)).toEqual({
      deployments: [["flow", 3]],
      schedules: ["daily"],
      limits: ["deployment flow", "named db"],
    });
    expect((await create(tenancy)).version).toBe(3);
  });

  test("does not count against the quota of deployments until it is deployed again", async () => {
    const { deps } = testEnv;
    const tenancy = await openTenancy(testEnv);
    const kept = deps.config.quotas;
    Object.assign(deps.config, { quotas: new Map([["deployments", 1]]) });
    try {
      await expect(tenancy.deploy("other")).rejects.toMatchObject({ code: "quota-exceeded" });
      await remove(tenancy);
      await tenancy.deploy("other");
      const again = tenancy.deploy("flow", { version: 2 });
      await expect(again).rejects.toMatchObject({ code: "quota-exceeded" });
    } finally {
      Object.assign(deps.config, { quotas: kept });
    }
  });

  test("stays removed when the removal is repeated; a name that never existed is not found", async () => {
    const tenancy = await openTenancy(testEnv);
    await Promise.all([remove(tenancy), remove(tenancy)]);
    await remove(tenancy);
    expect((await seen(tenancy)).deployments).toEqual([]);
    await expect(remove(tenancy, "flows")).rejects.toMatchObject({ code: "deployment-not-found" });
  });
});

describe("a deployment is not removed", () => {
  test("while a run of it has not ended", async () => {
    const tenancy = await whole();
    const { id } = await create(tenancy);
    await expect(remove(tenancy)).rejects.toMatchObject({
      code: "deployment-in-use",
      detail: expect.stringContaining(id),
    });
    expect((await seen(tenancy)).schedules).toEqual(["daily"]);
    await cancel(tenancy, id);
    await remove(tenancy);
  });

  test("while a backfill of it is running", async () => {
    const tenancy = await whole();
    const { scope } = tenancy;
    const request = CreateBackfill.parse({
      id: uuidv7(testEnv.clock.nowMs()),
      schedule: "daily",
      from: "2026-01-01T00:00:00.000Z",
      to: "2026-01-03T00:00:00.000Z",
    });
    await createBackfill(testEnv.deps, { scope, deployment: "flow", request });
    await expect(remove(tenancy)).rejects.toMatchObject({
      code: "deployment-in-use",
      detail: expect.stringContaining(`towpath backfill cancel ${request.id}`),
    });
    await cancelBackfill(testEnv.deps, { scope, backfillId: request.id });
    await remove(tenancy);
  });
});

describe("a removal that races", () => {
  test("with a new run either refuses it or lets it run to its end", async () => {
    for (let round = 0; round < 5; round++) {
      const tenancy = await openTenancy(testEnv);
      const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
      const [created, removed] = await Promise.allSettled([create(tenancy), remove(tenancy)]);
      if (created.status === "rejected") {
        expect(created.reason).toMatchObject({ code: "deployment-not-found" });
        continue;
      }
      const given = await fakeWorker.take();
      await fakeWorker.report(given, [records.started, records.ended("completed")]);
      const { id } = created.value;
      expect((await getRun(testEnv.deps, tenancy.scope, { runId: id })).state).toBe("completed");
      if (removed.status === "rejected") await remove(tenancy);
      await expect(create(tenancy)).rejects.toMatchObject({ code: "deployment-not-found" });
    }
  });

  test("with a new schedule, limit or backfill leaves none of them", async () => {
    const limit = { kind: "deployment" as const, slots: 1, perMs: null, collision: "enqueue" as const };
    for (let round = 0; round < 5; round++) {
      const tenancy = await openTenancy(testEnv, { schedules: DAILY });
      const { scope } = tenancy;
      const settings = ScheduleSettings.parse({
        name: "late",
        timing: { kind: "interval", everyMs: 60_000 },
      });
      const [removed] = await Promise.allSettled([
        remove(tenancy),
        setSchedule(testEnv.deps, { scope, deployment: "flow", settings }),
        setLimit(testEnv.deps, { scope, input: { ...limit, name: "flow" } }),
        tenancy.deploy("other"),
      ]);
      expect(removed.status).toBe("fulfilled");
      expect(await seen(tenancy)).toEqual({ deployments: [["other", 1]], schedules: [], limits: [] });
    }
  });

  test("with a deploy leaves the new version with all its schedules, or none", async () => {
    for (let round = 0; round < 5; round++) {
      const tenancy = await openTenancy(testEnv, { schedules: DAILY });
      await Promise.all([remove(tenancy), tenancy.deploy("flow", { version: 2, schedules: DAILY })]);
      const { deployments, schedules } = await seen(tenancy);
      expect([deployments, schedules]).toEqual(
        deployments.length === 0 ? [[], []] : [[["flow", 2]], ["daily"]],
      );
    }
  });
});
