import { ProblemBody, QUOTA_NAMES, QUOTAS, type QuotaName } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/harness/index.ts";
import { openTestApp } from "./app.fixture.ts";
import { openTestDeps, type TestDeps } from "./deps.fixture.ts";
import { identifyWith } from "./identity/index.ts";
import { SLICES } from "./slices.ts";
import { sign, specOf } from "./spec.fixture.ts";
import { bearer, createTenant } from "./tenant.fixture.ts";

const MOST = 3;

let database: TestDatabase;
let deps: TestDeps;
let app: Hono;
beforeAll(async () => {
  database = await createTestDatabase();
  const quotas = new Map(QUOTA_NAMES.map((name) => [name, MOST] as const));
  deps = await openTestDeps({ url: database.url, config: { quotas, notifyPrivate: true } });
  app = openTestApp({ deps, identify: identifyWith(deps), slices: SLICES });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

/** A workspace with a key that may do everything, a pool and a deployment. */
interface Place {
  readonly workspaceId: string;
  post(path: string, body: unknown): Promise<Response>;
}

async function openPlace(): Promise<Place> {
  const tenant = await createTenant(deps);
  const { secret } = await tenant.key("admin");
  const headers = { ...bearer(secret), "content-type": "application/json" };
  const place: Place = {
    workspaceId: tenant.workspaceId,
    post: async (path, body) => app.request(path, { method: "POST", headers, body: JSON.stringify(body) }),
  };
  expect((await place.post("/api/pools", { name: "local" })).status).toBe(201);
  expect((await MAKE.deployments(place, "penguins")).status).toBe(201);
  return place;
}

/** How one more of each is made, by its name. A quota without a row here fails to compile. */
const MAKE: Record<QuotaName, (place: Place, name: string) => Promise<Response>> = {
  pools: ({ post }, name) => post("/api/pools", { name }),
  queues: ({ post }, queue) => post("/api/pools/local/queues", { queue, priority: 1 }),
  deployments: async ({ post, workspaceId }, deployment) =>
    post("/api/deployments", { spec: await sign(specOf(workspaceId, { deployment })) }),
  limits: ({ post }, name) => post("/api/limits", { name, slots: 1 }),
  schedules: ({ post }, name) =>
    post("/api/deployments/penguins/schedules", { name, timing: { kind: "interval", everyMs: 60_000 } }),
  notifiers: ({ post }, name) => post("/api/notifiers", { name, url: "http://127.0.0.1:1/" }),
  keys: ({ post }, name) => post("/api/keys", { kind: "api", name }),
};

/** What a new workspace of this test has. */
const MADE: Partial<Record<QuotaName, number>> = { pools: 1, deployments: 1, keys: 1 };

describe.each(QUOTA_NAMES)("the quota %s", (quota) => {
  test("is kept exactly by many at once, and its refusal names it and says what to do", async () => {
    const place = await openPlace();
    const names = Array.from({ length: 8 }, (_, index) => `name-${index}`);
    const answers = await Promise.all(names.map((name) => MAKE[quota](place, name)));
    const refused = answers.filter(({ status }) => status === 409);
    expect(answers.filter(({ status }) => status < 300)).toHaveLength(MOST - (MADE[quota] ?? 0));
    expect(refused).toHaveLength(8 - MOST + (MADE[quota] ?? 0));
    for (const answer of refused)
      expect(ProblemBody.parse(await answer.json())).toMatchObject({
        code: "quota-exceeded",
        detail: expect.stringContaining(`${MOST} (quota "${quota}"). ${QUOTAS[quota].next}`),
      });
    expect((await MAKE[quota](await openPlace(), "other")).status).toBeLessThan(300);
  });
});

test("what is set again takes no more room", async () => {
  const place = await openPlace();
  for (let count = 0; count < 2 * MOST; count++)
    for (const quota of ["pools", "queues", "limits", "schedules"] as const)
      expect((await MAKE[quota](place, "local")).status).toBeLessThan(300);
});
