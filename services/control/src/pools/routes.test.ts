import { Pool, ProblemBody, page, Session, uuidv7, Worker, workerOnlineMs } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { identifyWith } from "../identity/index.ts";
import { heartbeatPeriodicJob, manualClock } from "../kernel/index.ts";
import { SLICES } from "../slices.ts";
import { bearer, createTenant, type Tenant } from "../tenant.fixture.ts";
import { noteWorkers } from "./session.ts";

const clock = manualClock(Date.now());
let database: TestDatabase;
let deps: TestDeps;
let app: Hono;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url, clock });
  app = openTestApp({
    deps,
    identify: identifyWith(deps),
    slices: SLICES,
  });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

const post = (body: unknown, headers: Record<string, string>) => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json", ...headers },
});
const problemIn = async (response: Response) => ProblemBody.parse(await response.json());

async function tenantWithPool(name = "local") {
  const tenant = await createTenant(deps);
  const headers = bearer((await tenant.key("developer")).secret);
  const response = await app.request("/api/pools", post({ name }, headers));
  return { tenant, headers, pool: Pool.parse(await response.json()) };
}

const hello = (more: object = {}) => ({
  workerId: uuidv7(clock.nowMs()),
  name: "laptop",
  pool: "local",
  poolType: "process",
  capacity: 4,
  version: "0.1.0",
  protocols: [1],
  process: uuidv7(clock.nowMs()),
  ...more,
});

async function open(tenant: Tenant, args: { keyPool?: string; body?: object; secret?: string } = {}) {
  const secret = args.secret ?? (await tenant.workerKey(args.keyPool)).secret;
  return app.request("/api/worker/session", post(hello(args.body), bearer(secret)));
}

describe("pools", () => {
  test("201: creating a pool again returns the same pool", async () => {
    const { headers, pool } = await tenantWithPool();
    const again = await app.request("/api/pools", post({ name: "local" }, headers));
    expect(again.status).toBe(201);
    expect(Pool.parse(await again.json()).id).toBe(pool.id);
  });

  test("200: pools are listed by name, page by page", async () => {
    const { headers } = await tenantWithPool("m");
    for (const name of ["z", "a", "k"]) await app.request("/api/pools", post({ name }, headers));
    const first = page(Pool).parse(await (await app.request("/api/pools?limit=3", { headers })).json());
    expect(first.items.map(({ name }) => name)).toEqual(["a", "k", "m"]);
    const rest = await app.request(`/api/pools?limit=3&cursor=${first.next}`, { headers });
    expect(page(Pool).parse(await rest.json())).toMatchObject({ items: [{ name: "z" }], next: null });
  });

  test("404: a mistyped name gets a suggestion; another workspace's pool is not found", async () => {
    const { headers } = await tenantWithPool("machines");
    const problem = await problemIn(await app.request("/api/pools/machnes", { headers }));
    expect(problem).toMatchObject({ code: "pool-not-found", status: 404 });
    expect(problem.detail).toContain('did you mean "machines"?');
    const stranger = await createTenant(deps);
    const theirs = bearer((await stranger.key("admin")).secret);
    const elsewhere = await problemIn(await app.request("/api/pools/machines", { headers: theirs }));
    expect(elsewhere.code).toBe("pool-not-found");
  });
});

describe("workers' sessions", () => {
  test("200: a key is exchanged for a session of one pool, and the worker is registered", async () => {
    const { tenant, headers, pool } = await tenantWithPool();
    const response = await open(tenant, { keyPool: "local" });
    expect(response.status).toBe(200);
    const session = Session.parse(await response.json());
    expect(session).toMatchObject({ protocol: 1, poolId: pool.id, workspaceId: tenant.workspaceId });
    const called = await app.request("/api/worker/renew", post({ held: [] }, bearer(session.token)));
    expect([401, 403]).not.toContain(called.status);
    const list = await app.request("/api/pools/local/workers", { headers });
    expect(page(Worker).parse(await list.json()).items).toMatchObject([
      { name: "laptop", pool: "local", capacity: 4, held: 0, online: true, draining: false },
    ]);
  });

  test("200: workers are listed last seen first, and a silent worker is offline", async () => {
    const { tenant, headers } = await tenantWithPool();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      clock.advance(1_000);
      const body = hello({ name: `worker-${n}` });
      ids.unshift(body.workerId);
      await open(tenant, { body });
    }
    const first = await app.request("/api/pools/local/workers?limit=3", { headers });
    const one = page(Worker).parse(await first.json());
    const rest = await app.request(`/api/pools/local/workers?limit=3&cursor=${one.next}`, { headers });
    const two = page(Worker).parse(await rest.json());
    expect([...one.items, ...two.items].map(({ id }) => id)).toEqual(ids);
    expect(two.next).toBeNull();
    clock.advance(workerOnlineMs);
    const [last = ""] = ids.slice(-1);
    const polls = [{ workerId: last, draining: true, paused: null, generation: 1, seq: 1 }];
    await noteWorkers(deps, deps.database.db, { workspaceId: tenant.workspaceId, polls });
    const later = await app.request("/api/pools/local/workers", { headers });
    const { items } = page(Worker).parse(await later.json());
    expect(items.map(({ online }) => online)).toEqual([true, false, false, false, false]);
    expect(items[0]).toMatchObject({ id: last, draining: true });
    const pool = Pool.parse(await (await app.request("/api/pools/local", { headers })).json());
    expect(pool.workersOnline).toBe(1);
  });

  test("200: a worker that says that it has stopped is offline at once, until it starts again", async () => {
    const { tenant, headers } = await tenantWithPool();
    const body = hello({ name: "stopping" });
    const { workspaceId } = tenant;
    const session = async (more: object = {}) =>
      Session.parse(await (await open(tenant, { body: { ...body, ...more } })).json());
    const close = async ({ token }: Session) =>
      (await app.request("/api/worker/session/close", post({}, bearer(token)))).json();
    const listed = async () => {
      const answer = await app.request("/api/pools/local/workers", { headers });
      return page(Worker).parse(await answer.json()).items[0];
    };
    const first = await session();
    expect(await listed()).toMatchObject({ online: true, stoppedAt: null });
    expect(await close(first)).toMatchObject({ stopped: true });
    const stopped = await listed();
    expect(stopped).toMatchObject({
      online: false,
      stoppedAt: new Date(clock.nowMs()).toISOString(),
      gone: null,
    });
    clock.advance(1_000);
    expect(await close(first)).toMatchObject({ stopped: true });
    // A poll that another process of the control plane records late.
    const poll = { workerId: body.workerId, draining: true, paused: null, generation: 1, seq: 1 };
    await noteWorkers(deps, deps.database.db, { workspaceId, polls: [poll] });
    expect(await listed()).toMatchObject({ online: false, stoppedAt: stopped?.stoppedAt });
    expect((await app.request("/api/pools/local", { method: "DELETE", headers })).status).toBe(204);
    await app.request("/api/pools", post({ name: "local" }, headers));
    await session();
    await session({ process: uuidv7(clock.nowMs()) });
    expect(await close(first)).toMatchObject({ stopped: false });
    expect(await listed()).toMatchObject({ online: true, stoppedAt: null });
  });

  test("404: the pool is deleted while a worker opens its session", async () => {
    const { tenant } = await tenantWithPool();
    const { workspaceId } = tenant;
    const deleting = Promise.withResolvers<void>();
    const mayEnd = Promise.withResolvers<void>();
    const deletion = deps.database.db.transaction(async (tx) => {
      await tx.execute(sql`delete from pool where workspace_id = ${workspaceId}`);
      deleting.resolve();
      await mayEnd.promise;
    });
    await deleting.promise;
    const opening = open(tenant);
    await expect
      .poll(async () => {
        const [row] = await deps.database.db.execute<{ count: number }>(sql`
          select count(*)::int as count from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into worker%'`);
        return row?.count;
      })
      .toBeGreaterThan(0);
    mayEnd.resolve();
    await deletion;
    const response = await opening;
    expect(response.status).toBe(404);
    expect(await problemIn(response)).toMatchObject({ code: "pool-not-found" });
  });

  test("200: a restarted worker starts offering its attempts again", async () => {
    const { tenant } = await tenantWithPool();
    const body = hello({ name: "offering" });
    const { workspaceId } = tenant;
    const note = async (said: { generation: number; seq: number; offering: boolean }) => {
      const poll = { workerId: body.workerId, draining: false, paused: null, ...said };
      const [noted] = await noteWorkers(deps, deps.database.db, { workspaceId, polls: [poll] });
      return noted;
    };
    await open(tenant, { body });
    expect(await note({ generation: 1, seq: 1, offering: true })).toMatchObject({ offeringMs: 0 });
    clock.advance(5_000);
    expect(await note({ generation: 1, seq: 2, offering: true })).toMatchObject({ offeringMs: 5_000 });
    await open(tenant, { body });
    expect(await note({ generation: 1, seq: 3, offering: true })).toMatchObject({ offeringMs: 5_000 });
    await open(tenant, { body: { ...body, process: uuidv7(clock.nowMs()) } });
    expect(await note({ generation: 2, seq: 1, offering: true })).toMatchObject({ offeringMs: 0 });
    clock.advance(5_000);
    expect(await note({ generation: 2, seq: 2, offering: false })).toMatchObject({ offeringMs: null });
    expect(await note({ generation: 2, seq: 3, offering: true })).toMatchObject({ offeringMs: 0 });
  });

  test("200: a paused worker is listed with the end and reason of its pause", async () => {
    const { tenant, headers } = await tenantWithPool();
    const body = hello({ name: "broken" });
    await open(tenant, { body });
    const { workspaceId } = tenant;
    const seen = { workerId: body.workerId, draining: false, generation: 1 };
    const poll = (seq: number, paused: { forMs: number; reason: string } | null) =>
      noteWorkers(deps, deps.database.db, { workspaceId, polls: [{ ...seen, seq, paused }] });
    const paused = { forMs: 8_000, reason: "the registry is away" };
    await poll(1, paused);
    const read = async () => {
      const list = await app.request("/api/pools/local/workers", { headers });
      const pool = Pool.parse(await (await app.request("/api/pools/local", { headers })).json());
      return { of: page(Worker).parse(await list.json()).items[0]?.paused, count: pool.workersPaused };
    };
    const until = new Date(clock.nowMs() + paused.forMs).toISOString();
    expect(await read()).toEqual({ of: { until, reason: paused.reason }, count: 1 });
    clock.advance(paused.forMs);
    expect(await read()).toEqual({ of: null, count: 0 });
    await poll(2, paused);
    await poll(3, null);
    expect(await read()).toEqual({ of: null, count: 0 });
  });

  test("403: a key for one pool opens no session of another", async () => {
    const { tenant } = await tenantWithPool();
    const problem = await problemIn(await open(tenant, { keyPool: "other" }));
    expect(problem).toMatchObject({ status: 403, code: "forbidden" });
  });

  test("403: a key for one pool cannot take over a worker of another; a key for all pools can, once that worker's key is revoked", async () => {
    const { tenant, headers } = await tenantWithPool("a");
    await app.request("/api/pools", post({ name: "b" }, headers));
    const [keyA, keyB] = [await tenant.workerKey("a"), await tenant.workerKey("b")];
    const body = hello({ pool: "a" });
    expect((await open(tenant, { secret: keyA.secret, body })).status).toBe(200);
    const takeover = { secret: keyB.secret, body: { ...body, pool: "b" } };
    expect((await open(tenant, takeover)).status).toBe(403);
    const unbound = { ...takeover, secret: (await tenant.workerKey()).secret };
    expect((await open(tenant, unbound)).status).toBe(403);
    const admin = bearer((await tenant.key("admin")).secret);
    await app.request(`/api/keys/${keyA.id}`, { method: "DELETE", headers: admin });
    expect((await open(tenant, takeover)).status).toBe(403);
    expect((await open(tenant, unbound)).status).toBe(200);
  });

  test("404: a worker of a missing pool gets a suggestion", async () => {
    const { tenant } = await tenantWithPool();
    const problem = await problemIn(await open(tenant, { body: { pool: "loca" } }));
    expect(problem).toMatchObject({ code: "pool-not-found" });
    expect(problem.detail).toContain('"local"');
  });

  test("426: without a shared protocol the answer says what to update", async () => {
    const { tenant } = await tenantWithPool();
    const problem = await problemIn(await open(tenant, { body: { protocols: [98, 99] } }));
    expect(problem).toMatchObject({ status: 426, code: "protocol-unsupported" });
    expect(problem.detail).toContain("Update the control plane");
  });

  test("the incarnation changes when the database becomes another one", async () => {
    const { tenant } = await tenantWithPool();
    const read = async () => Session.parse(await (await open(tenant)).json()).incarnation;
    const before = await read();
    await heartbeatPeriodicJob.runOnce(deps);
    expect(await read()).toBe(before);
    await deps.database.db.execute(sql`update incarnation set identity = 'another'`);
    await heartbeatPeriodicJob.runOnce(deps);
    expect(await read()).not.toBe(before);
  });
});
