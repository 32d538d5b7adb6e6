import { Key, Me, ProblemBody, page } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { manualClock } from "../kernel/index.ts";
import { bearer, createTenant } from "../tenant.fixture.ts";
import { KEY_CACHE_MS } from "./credential-cache.ts";
import { identifyWith } from "./identify.ts";
import { identityRoutes } from "./routes.ts";
import { issueWorkerToken } from "./worker-token.ts";

const MINUTE_MS = 60_000;
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
    slices: [identityRoutes],
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

const codeOf = async (response: Response) => ProblemBody.parse(await response.json()).code;

describe("keys", () => {
  test("200: a key returns its caller and workspace", async () => {
    const tenant = await createTenant(deps);
    const key = await tenant.key("viewer");
    const response = await app.request("/api/me", { headers: bearer(key.secret) });
    const me = Me.parse(await response.json());
    expect(me.key).toEqual({ id: key.id, name: "viewer", role: "viewer" });
    expect(me.workspace).toEqual({ id: tenant.workspaceId, name: "test", sealed: false });
  });

  test("201: the secret is in the answer and nowhere else", async () => {
    const tenant = await createTenant(deps);
    const admin = bearer((await tenant.key("admin")).secret);
    const made = await app.request("/api/keys", post({ kind: "worker", name: "w", pool: "local" }, admin));
    expect(made.status).toBe(201);
    const { secret, key } = (await made.json()) as { secret: string; key: Key };
    expect(secret).toMatch(/^twp_wkr_/);
    expect(key).toMatchObject({ kind: "worker", role: null, pool: "local" });
    const list = await app.request("/api/keys", { headers: admin });
    // The random bytes may contain the separator of the parts.
    const bytes = secret.slice(-40);
    expect(await list.text()).not.toContain(bytes);
    const [stored] = await deps.database.db.execute<{ found: boolean }>(
      sql`select bool_or(a::text like ${`%${bytes}%`}) as found from access_key a`,
    );
    expect(stored).toEqual({ found: false });
  });

  test("200: lists are paged, newest first, without the keys of other workspaces", async () => {
    const [tenant, other] = [await createTenant(deps), await createTenant(deps)];
    await other.key("admin");
    const made = [await tenant.key("admin")];
    for (let n = 0; n < 4; n++) {
      clock.advance(1);
      made.push(await tenant.key("viewer"));
    }
    const headers = bearer(made[0]?.secret ?? "");
    const ids: string[] = [];
    let next: string | null = "";
    while (next !== null) {
      const cursor: string = next === "" ? "" : `&cursor=${next}`;
      const answer = await app.request(`/api/keys?limit=2${cursor}`, { headers });
      const read = page(Key).parse(await answer.json());
      ids.push(...read.items.map((key) => key.id));
      next = read.next;
    }
    expect(ids).toEqual(made.map((key) => key.id).reverse());
  });

  test("204: a revoked key authenticates nobody, and revoking it again changes nothing", async () => {
    const tenant = await createTenant(deps);
    const admin = bearer((await tenant.key("admin")).secret);
    const key = await tenant.key("viewer");
    for (let times = 0; times < 2; times++) {
      const gone = await app.request(`/api/keys/${key.id}`, { method: "DELETE", headers: admin });
      expect(gone.status).toBe(204);
    }
    const response = await app.request("/api/me", { headers: bearer(key.secret) });
    expect(response.status).toBe(401);
    expect(await codeOf(response)).toBe("unauthenticated");
  });

  describe("a key that was just used", () => {
    const open = async (secret: string) => (await app.request("/api/me", { headers: bearer(secret) })).status;

    test("is refused as soon as it is revoked", async () => {
      const tenant = await createTenant(deps);
      const [headers, key] = [bearer((await tenant.key("admin")).secret), await tenant.key("viewer")];
      expect(await open(key.secret)).toBe(200);
      await app.request(`/api/keys/${key.id}`, { method: "DELETE", headers });
      expect(await open(key.secret)).toBe(401);
    });

    test("is refused in another process once that process has received the wake-up", async () => {
      const tenant = await createTenant(deps);
      const [headers, key] = [bearer((await tenant.key("admin")).secret), await tenant.key("viewer")];
      expect(await open(key.secret)).toBe(200);
      const elsewhere = await openTestDeps({ url: database.url, clock });
      const other = openTestApp({
        deps: elsewhere,
        identify: identifyWith(elsewhere),
        slices: [identityRoutes],
      });
      const heard = new Promise<void>((resolve) => {
        deps.wakes.subscribe("key", key.id, () => resolve());
      });
      const revoked = await other.request(`/api/keys/${key.id}`, { method: "DELETE", headers });
      expect(revoked.status).toBe(204);
      await heard;
      expect(await open(key.secret)).toBe(401);
      await elsewhere.close();
    });

    test("stays cached while another key is revoked; each revocation sends a wake-up, in case the first was lost", async () => {
      const tenant = await createTenant(deps);
      const headers = bearer((await tenant.key("admin")).secret);
      const [key, other] = [await tenant.key("viewer"), await tenant.key("viewer")];
      expect(await open(key.secret)).toBe(200);
      let told = 0;
      const leave = deps.wakes.subscribe("key", other.id, () => {
        told += 1;
      });
      for (let times = 0; times < 2; times++)
        await app.request(`/api/keys/${other.id}`, { method: "DELETE", headers });
      leave();
      expect(told).toBe(2);
      const status = await deps.database.sql.begin(async (tx) => {
        await tx`lock table access_key in access exclusive mode`;
        return [await open(key.secret)];
      });
      expect(status).toEqual([200]);
    });

    test("is refused five seconds after its revocation where the wake-up was lost", async () => {
      const tenant = await createTenant(deps);
      const key = await tenant.key("viewer");
      expect(await open(key.secret)).toBe(200);
      await deps.database.sql`update access_key set revoked_at = now() where id = ${key.id}`;
      clock.advance(KEY_CACHE_MS);
      expect(await open(key.secret)).toBe(401);
    });
  });

  test("400: a cursor of another list is refused", async () => {
    const tenant = await createTenant(deps);
    const headers = bearer((await tenant.key("admin")).secret);
    const response = await app.request("/api/keys?cursor=WyJ4Il0", { headers });
    expect(response.status).toBe(400);
  });

  test.each(["Bearer", "Basic abc", "Bearer nonsense", "Bearer twp_api_zz_yy", `Bearer a.b.c`])(
    "401: %s is nobody",
    async (authorization) => {
      expect((await app.request("/api/me", { headers: { authorization } })).status).toBe(401);
    },
  );

  test("401: the right id with a wrong secret is refused", async () => {
    const tenant = await createTenant(deps);
    const [one, two] = [await tenant.key("admin"), await tenant.key("admin")];
    const mixed = `${one.secret.slice(0, 41)}${two.secret.slice(41)}`;
    expect((await app.request("/api/me", { headers: bearer(mixed) })).status).toBe(401);
  });

  test("404: another workspace's key is not found", async () => {
    const [tenant, other] = [await createTenant(deps), await createTenant(deps)];
    const theirs = await other.key("viewer");
    const headers = bearer((await tenant.key("admin")).secret);
    const response = await app.request(`/api/keys/${theirs.id}`, { method: "DELETE", headers });
    expect(await codeOf(response)).toBe("key-not-found");
    expect((await app.request("/api/me", { headers: bearer(theirs.secret) })).status).toBe(200);
  });

  test("the last use is recorded at most once a minute", async () => {
    const tenant = await createTenant(deps);
    const key = await tenant.key("admin");
    const use = async () => {
      const answer = await app.request("/api/keys", { headers: bearer(key.secret) });
      return page(Key)
        .parse(await answer.json())
        .items.find(({ id }) => id === key.id)?.lastUsedAt;
    };
    const first = await use();
    expect(first).toBe(new Date(clock.nowMs()).toISOString());
    clock.advance(30_000);
    expect(await use()).toBe(first);
    clock.advance(31_000);
    expect(await use()).toBe(new Date(clock.nowMs()).toISOString());
  });
});

describe("workers' sessions", () => {
  const ID = "0199a000-0000-7000-8000-000000000001";
  const claimBody = { free: 0, held: [], waitMs: 0, seq: 1, heard: 0 };

  async function session() {
    const tenant = await createTenant(deps);
    const key = await tenant.workerKey();
    const claims = {
      workspaceId: tenant.workspaceId,
      workerId: ID,
      poolId: ID,
      keyId: key.id,
      generation: 1,
    };
    return { tenant, key, token: await issueWorkerToken(deps, claims) };
  }
  const claim = (token: string) => app.request("/api/worker/claim", post(claimBody, bearer(token)));

  test("401: a session expires after ten minutes, and the same request may succeed with another", async () => {
    const { token } = await session();
    expect((await claim(token)).status).not.toBe(401);
    clock.advance(10 * MINUTE_MS + 1_000);
    const problem = ProblemBody.parse(await (await claim(token)).json());
    expect(problem).toMatchObject({ code: "session-expired", retryable: true });
  });

  test("401: a session of another installation is not valid", async () => {
    const { tenant, key } = await session();
    const claims = {
      workspaceId: tenant.workspaceId,
      workerId: ID,
      poolId: ID,
      keyId: key.id,
      generation: 1,
    };
    const token = await issueWorkerToken({ clock, sessionSecret: new Uint8Array(32) }, claims);
    expect((await claim(token)).status).toBe(401);
  });

  test("401: a session ends with its key", async () => {
    const { tenant, key, token } = await session();
    expect((await claim(token)).status).not.toBe(401);
    const headers = bearer((await tenant.key("admin")).secret);
    await app.request(`/api/keys/${key.id}`, { method: "DELETE", headers });
    expect((await claim(token)).status).toBe(401);
  });

  test("401: where the wake-up was lost, a session ends within half a minute of its key", async () => {
    const { key, token } = await session();
    expect((await claim(token)).status).not.toBe(401);
    await deps.database.sql`update access_key set revoked_at = now() where id = ${key.id}`;
    clock.advance(30_001);
    expect((await claim(token)).status).toBe(401);
  });
});
