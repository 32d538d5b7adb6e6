import { randomUUID } from "node:crypto";
import { ProblemBody, QUOTA_NAMES, QUOTAS, type QuotaName, WORKER_PROTOCOLS } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/harness/index.ts";
import { openTestApp } from "./app.fixture.ts";
import { openTestDeps, type TestDeps } from "./deps.fixture.ts";
import { identifyWith } from "./identity/index.ts";
import { manualClock } from "./kernel/index.ts";
import { SLICES } from "./slices.ts";
import { sign, specOf } from "./spec.fixture.ts";
import { bearer, createTenant, type Tenant } from "./tenant.fixture.ts";

const MOST = 3;
/** Longer than a workspace is cached as full. */
const FULL_MS = 10_000;

const clock = manualClock(Date.now());
let database: TestDatabase;
let deps: TestDeps;
let app: Hono;
beforeAll(async () => {
  database = await createTestDatabase();
  const quotas = new Map(QUOTA_NAMES.map((name) => [name, MOST] as const));
  deps = await openTestDeps({ url: database.url, clock, config: { quotas, notifyPrivate: true } });
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
  /** As `post` with a worker key. It is created on first use, because it counts among the keys. */
  postAsWorker(path: string, body: unknown): Promise<Response>;
}

async function openPlace(): Promise<Place> {
  const tenant = await createTenant(deps);
  const { secret } = await tenant.key("admin");
  const postWith = async (args: { key: string; path: string; body: unknown }) => {
    const headers = { ...bearer(args.key), "content-type": "application/json" };
    return app.request(args.path, { method: "POST", headers, body: JSON.stringify(args.body) });
  };
  let workerKey: ReturnType<Tenant["workerKey"]> | null = null;
  const place: Place = {
    workspaceId: tenant.workspaceId,
    post: (path, body) => postWith({ key: secret, path, body }),
    async postAsWorker(path, body) {
      workerKey ??= tenant.workerKey();
      return postWith({ key: (await workerKey).secret, path, body });
    },
  };
  expect((await place.post("/api/pools", { name: "local" })).status).toBe(201);
  expect((await MAKE.deployments(place, "penguins")).status).toBe(201);
  return place;
}

function openWorker({ postAsWorker }: Place, worker: { name: string; workerId: string }) {
  const ours = { pool: "local", poolType: "process", capacity: 1, version: "0", protocols: WORKER_PROTOCOLS };
  return postAsWorker("/api/worker/session", { ...ours, ...worker, process: randomUUID() });
}

/** How to create one more of each kind, by its name. A quota without a row here does not compile. */
const MAKE: Record<QuotaName, (place: Place, name: string) => Promise<Response>> = {
  pools: ({ post }, name) => post("/api/pools", { name }),
  queues: ({ post }, queue) => post("/api/pools/local/queues", { queue, priority: 1 }),
  deployments: async ({ post, workspaceId }, deployment) =>
    post("/api/deployments", { spec: await sign(specOf(workspaceId, { deployment })) }),
  limits: ({ post }, name) => post("/api/limits", { name, slots: 1 }),
  schedules: ({ post }, name) =>
    post("/api/deployments/penguins/schedules", { name, timing: { kind: "interval", everyMs: 60_000 } }),
  notifiers: ({ post }, name) => post("/api/notifiers", { name, url: "http://127.0.0.1:1/" }),
  workers: (place, name) => openWorker(place, { name, workerId: randomUUID() }),
  keys: ({ post }, name) => post("/api/keys", { kind: "api", name }),
};

/** The contents of a new workspace in this test. */
const MADE: Partial<Record<QuotaName, number>> = { pools: 1, deployments: 1, keys: 1 };

describe.each(QUOTA_NAMES)("the quota %s", (quota) => {
  test("is exact under concurrency, and its refusal names the quota and the next step", async () => {
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

test("restarted workers and workers not seen for a day do not count", async () => {
  const place = await openPlace();
  const same = { name: "same", workerId: randomUUID() };
  for (let count = 0; count < 2 * MOST; count++) expect((await openWorker(place, same)).status).toBe(200);
  for (let count = 1; count < MOST; count++) await MAKE.workers(place, "other");
  expect((await MAKE.workers(place, "one more")).status).toBe(409);
  await deps.database.sql`update worker set last_seen_at = now() - interval '25 hours'
    where workspace_id = ${place.workspaceId} and id = ${same.workerId}`;
  clock.advance(FULL_MS);
  expect((await MAKE.workers(place, "one more")).status).toBe(200);
});

test("a full workspace refuses a new worker without a transaction, and accepts a known worker", async () => {
  const place = await openPlace();
  const known = { name: "known", workerId: randomUUID() };
  expect((await openWorker(place, known)).status).toBe(200);
  for (let count = 1; count < MOST; count++) await MAKE.workers(place, "other");
  expect((await MAKE.workers(place, "one more")).status).toBe(409);
  const locked = deps.database.sql.begin(async (tx) => {
    await tx`lock table worker in share mode`;
    return (await MAKE.workers(place, "one more")).status;
  });
  expect(await locked).toBe(409);
  expect((await openWorker(place, known)).status).toBe(200);
});

test("workers that have not polled for minutes, and those whose key is revoked, do not count", async () => {
  const place = await openPlace();
  const { sql } = deps.database;
  const oneMore = async () => {
    clock.advance(FULL_MS);
    return (await MAKE.workers(place, "one more")).status;
  };
  const old = new Date(clock.nowMs() - 6 * 60_000);
  const set = (pollSeq: number) => sql`update worker set last_seen_at = ${old}, poll_seq = ${pollSeq}
    where workspace_id = ${place.workspaceId}`;
  for (let count = 0; count < MOST; count++) expect(await oneMore()).toBe(200);
  expect(await oneMore()).toBe(409);
  await set(1);
  expect(await oneMore()).toBe(409);
  await set(0);
  for (let count = 0; count < MOST; count++) expect(await oneMore()).toBe(200);
  expect(await oneMore()).toBe(409);
  const { id } = await (await createTenant(deps)).workerKey();
  await sql`update access_key set revoked_at = now() where id = ${id}`;
  await sql`update worker set key_id = ${id} where workspace_id = ${place.workspaceId}`;
  expect(await oneMore()).toBe(200);
});

test("changing an existing row does not count", async () => {
  const place = await openPlace();
  for (let count = 0; count < 2 * MOST; count++)
    for (const quota of ["pools", "queues", "limits", "schedules"] as const)
      expect((await MAKE[quota](place, "local")).status).toBeLessThan(300);
});
