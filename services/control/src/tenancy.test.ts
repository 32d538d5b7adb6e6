import { ROUTES, type Route } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../test/harness/index.ts";
import { openTestApp } from "./app.fixture.ts";
import { FakeWorker, records } from "./fake-worker.fixture.ts";
import type { Scope, WorkerScope } from "./kernel/index.ts";
import { createRun } from "./runs/index.ts";
import { SLICES } from "./slices.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "./test-env.fixture.ts";

let testEnv: TestEnv;
let mine: Tenancy;
let other: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  [mine, other] = [await openTenancy(testEnv), await openTenancy(testEnv)];
});
afterAll(() => testEnv.close());

/** An application that identifies every caller as the test says. */
function appFor(scope: Scope, worker: WorkerScope) {
  return openTestApp({
    deps: testEnv.deps,
    slices: SLICES,
    identify: async (c) =>
      c.req.path.startsWith("/api/worker/")
        ? { kind: "worker", scope: worker, keyId: worker.workerId }
        : { kind: "person", scope },
  });
}

const routes = Object.values(ROUTES) as Route[];
// The tests of waits cover what a run waits for.
const ofRuns = routes.filter(
  (route) => ["runs", "logs"].includes(route.slice) && /\{runId\}(?!.*\{)/.test(route.path),
);

/** Bodies of routes that do not accept an empty one. */
const BODIES: Partial<Record<string, () => object>> = {
  "/api/runs/{runId}/rerun": () => ({ id: mine.request().id }),
};

/** Queries of routes that require one. */
const QUERIES: Partial<Record<string, string>> = { "/api/runs/{runId}/logs/search": "?text=x" };

async function run(): Promise<string> {
  const { id } = await createRun(testEnv.deps, mine.scope, mine.request());
  const fakeWorker = new FakeWorker(testEnv, await mine.worker());
  await fakeWorker.report(await fakeWorker.take(), [records.started, records.ended("completed")]);
  return id;
}

test.each(ofRuns.map((route) => [`${route.method} ${route.path}`, route] as const))(
  "%s answers 404 for another workspace's run, as for one that does not exist",
  async (_, route) => {
    const runId = await run();
    const text = JSON.stringify(BODIES[route.path]?.() ?? {});
    const body =
      route.body === undefined ? {} : { body: text, headers: { "content-type": "application/json" } };
    const ask = async (tenancy: Tenancy, id: string) => {
      const app = appFor(tenancy.scope, await tenancy.worker());
      const path = `${route.path.replace("{runId}", id)}${QUERIES[route.path] ?? ""}`;
      return app.request(path, { method: route.method, ...body });
    };
    const [foreign, unknown] = [await ask(other, runId), await ask(mine, other.request().id)];
    expect([foreign.status, unknown.status]).toEqual([404, 404]);
    expect(await foreign.json()).toMatchObject({ code: "run-not-found" });
    const own = await ask(mine, runId);
    expect(own.status).not.toBe(404);
    await own.body?.cancel();
  },
);
