import { ROLES, ROUTES, type Route } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { bearer, createTenant } from "../tenant.fixture.ts";
import { identifyWith } from "./identify.ts";
import { issueWorkerToken } from "./worker-token.ts";

const ID = "0199a000-0000-7000-8000-000000000001";
const ROLE_NAMES = Object.keys(ROLES) as (keyof typeof ROLES)[];

let database: TestDatabase;
let deps: TestDeps;
let app: Hono;
const headers: Record<string, Record<string, string>> = { nobody: {} };

beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url });
  app = openTestApp({ deps, identify: identifyWith(deps) });
  const tenant = await createTenant(deps);
  for (const role of ROLE_NAMES) headers[role] = bearer((await tenant.key(role)).secret);
  const workerKey = await tenant.workerKey();
  headers["worker key"] = bearer(workerKey.secret);
  const claims = {
    workspaceId: tenant.workspaceId,
    workerId: ID,
    poolId: ID,
    keyId: workerKey.id,
    generation: 1,
  };
  headers["worker session"] = bearer(await issueWorkerToken(deps, claims));
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

/** Who the route table lets in, written without the code under test. */
function isGranted(route: Route, caller: string): boolean {
  if (route.permission === "public") return true;
  if (route.permission === "worker-key") return caller === "worker key";
  if (route.permission === "worker") return caller === "worker session";
  const role = ROLE_NAMES.find((name) => name === caller);
  return role !== undefined && (ROLES[role] as readonly string[]).includes(route.permission);
}

async function call(route: Route, caller: string): Promise<number> {
  const path = route.path.replace("{name}", "local").replace(/\{\w+\}/g, ID);
  const body = route.body ? { body: "{}" } : {};
  const response = await app.request(path, {
    method: route.method,
    ...body,
    headers: { "content-type": "application/json", ...headers[caller] },
  });
  return response.status;
}

const CALLERS = ["nobody", ...ROLE_NAMES, "worker key", "worker session"];

describe.each(Object.entries<Route>(ROUTES))("%s", (_, route) => {
  test.each(CALLERS)(`is granted as the route table says: %s`, async (caller) => {
    const status = await call(route, caller);
    if (isGranted(route, caller)) expect([401, 403]).not.toContain(status);
    else expect(status).toBe(caller === "nobody" ? 401 : 403);
  });
});
