import { FAILED_KEYS, ProblemBody, SignInLink } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/harness/index.ts";
import { openTestApp } from "./app.fixture.ts";
import { openTestDeps, type TestDeps } from "./deps.fixture.ts";
import { identifyWith, identityRoutes, issueWorkerToken, signInPage } from "./identity/index.ts";
import { type Deps, parseConfig, probes } from "./kernel/index.ts";
import { bearer, createTenant, type Tenant } from "./tenant.fixture.ts";

let database: TestDatabase;
let deps: TestDeps;
let tenant: Tenant;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url });
  tenant = await createTenant(deps);
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

const pagesOf = (here: Deps) => [probes(here, new AbortController().signal), signInPage(here)];

function openApp(env: Record<string, string> = {}): Hono {
  const config = { ...parseConfig({ ...env, DATABASE_URL: database.url }), checkAnswers: true };
  const here = { ...deps, config };
  return openTestApp({
    deps: here,
    identify: identifyWith(here),
    slices: [identityRoutes],
    pages: pagesOf(here),
  });
}

/** Node's objects of a request from an address. */
const from = (remoteAddress: string, headers: Record<string, string> = {}) => ({
  incoming: { headers, socket: { remoteAddress, destroy() {} } },
});

function ask(app: Hono, args: { headers: Record<string, string>; address: string; path?: string }) {
  const { headers, address, path = "/api/me" } = args;
  return app.request(path, { headers }, from(address, headers));
}

const wrong = (index: number) => {
  const id = index.toString(16).padStart(32, "0");
  return bearer(`twp_api_${id}_${"a".repeat(43)}`);
};

describe("401 and 429", () => {
  test("of 600 wrong keys from one address few are checked, and a valid key from there is always accepted", async () => {
    const app = openApp();
    const { secret } = await tenant.key("viewer");
    const statuses: number[] = [];
    for (let index = 0; index < 600; index++) {
      const response = await ask(app, { headers: wrong(index), address: "192.0.2.1" });
      statuses.push(response.status);
      if (index % 100 !== 99) continue;
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
      expect(ProblemBody.parse(await response.json())).toMatchObject({ code: "too-many-requests" });
      expect((await ask(app, { headers: bearer(secret), address: "192.0.2.1" })).status).toBe(200);
    }
    expect(statuses.filter((status) => status === 401).length).toBeLessThan(2 * FAILED_KEYS.free);
    expect(statuses.at(-1)).toBe(429);
    expect((await ask(app, { headers: wrong(0), address: "192.0.2.2" })).status).toBe(401);
  });

  test("a key that is not cached is accepted amid a flood of wrong ones from its address", async () => {
    const app = openApp();
    const flood = Array.from({ length: 200 }, (_, index) =>
      ask(app, { headers: wrong(index), address: "192.0.2.3" }),
    );
    const { secret } = await tenant.key("viewer");
    expect((await ask(app, { headers: bearer(secret), address: "192.0.2.3" })).status).toBe(200);
    await Promise.all(flood);
  });

  test("a request without a key does not count as a wrong key", async () => {
    const app = openApp();
    for (let index = 0; index < 3 * FAILED_KEYS.free; index++)
      expect((await ask(app, { headers: { cookie: "theme=dark" }, address: "192.0.2.4" })).status).toBe(401);
  });

  test.each(["", " ", "\t"])(
    "a session's cookie with %j before its equals sign counts as a wrong key",
    async (blank) => {
      const app = openApp();
      const statuses: number[] = [];
      for (let index = 0; index < 2 * FAILED_KEYS.free; index++) {
        const headers = { cookie: `theme=dark; towpath_session${blank}=x${index}` };
        statuses.push((await ask(app, { headers, address: "192.0.2.13" })).status);
      }
      expect(statuses.filter((status) => status === 401)).toHaveLength(FAILED_KEYS.free);
      expect(statuses.at(-1)).toBe(429);
    },
  );
});

describe("429", () => {
  test("a key beyond its limit is refused with exact headers; other workspaces and workers continue", async () => {
    const app = openApp({ TOWPATH_RATE_LIMITS: "read.key=0.5" });
    const [key, other] = [await tenant.key("viewer"), await (await createTenant(deps)).key("viewer")];
    const answers = [];
    for (let index = 0; index < 7; index++)
      answers.push(await ask(app, { headers: bearer(key.secret), address: "192.0.2.5" }));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429, 429]);
    expect(answers[0]?.headers.get("ratelimit-policy")).toContain('"read-key";q=5;w=10');
    expect(answers[0]?.headers.get("ratelimit")).toContain('"read-key";r=4;t=2');
    expect(answers[5]?.headers.get("ratelimit")).toContain('"read-key";r=0');
    expect(Number(answers[5]?.headers.get("retry-after"))).toBe(2);
    expect((await ask(app, { headers: bearer(other.secret), address: "192.0.2.5" })).status).toBe(200);
  });

  test.each(["/sign-in?token=no", "/openapi.json", "/api/nothing", "/nothing"])(
    "%s is limited by address, and probes are not",
    async (path) => {
      const app = openApp({ TOWPATH_RATE_LIMITS: "public.address=0.2" });
      const send = async (at: string, address = "192.0.2.6") =>
        (await ask(app, { headers: {}, address, path: at })).status;
      const statuses = [await send(path), await send(path), await send(path)];
      expect(statuses.map((status) => status === 429)).toEqual([false, false, true]);
      expect(await send(path, "192.0.2.7")).not.toBe(429);
      for (const probe of ["/healthz", "/readyz"]) expect(await send(probe)).toBe(200);
    },
  );
});

test("however many probes ask for readiness, the database is asked once", async () => {
  const app = openApp();
  const waiting = await deps.database.sql.begin(async (tx) => {
    await tx`lock table installation in access exclusive mode`;
    const answers = Array.from({ length: 5 }, () => app.request("/readyz"));
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(503);
    const [row] = await tx<{ count: number }[]>`select count(*)::int as count from pg_locks
      where relation = 'installation'::regclass and not granted`;
    return row?.count;
  });
  expect(waiting).toBe(1);
});

/** Runs something while the tables with keys and sessions cannot be read. */
async function withoutIdentities<T>(act: () => Promise<T>): Promise<T> {
  return deps.database.sql
    .begin(async (tx) => {
      await tx`lock table access_key, browser_session in access exclusive mode`;
      return { value: await act() };
    })
    .then(({ value }) => value);
}

async function signedIn(app: Hono, key: string): Promise<{ cookie: string }> {
  const made = await app.request("/api/sign-in-links", { method: "POST", headers: bearer(key) });
  const { url } = SignInLink.parse(await made.json());
  const form = new URLSearchParams({ token: new URL(url).searchParams.get("token") ?? "" });
  const headers = { origin: "http://localhost", host: "localhost" };
  const response = await app.request("/sign-in", { method: "POST", body: form, headers });
  return { cookie: (response.headers.get("set-cookie") ?? "").split(";")[0] ?? "" };
}

const workerToken = (keyId: string, secret = deps.sessionSecret) => {
  const ids = { workspaceId: tenant.workspaceId, workerId: keyId, poolId: keyId, keyId };
  return issueWorkerToken({ clock: deps.clock, sessionSecret: secret }, { ...ids, generation: 1 });
};

test("a large body costs a token for each started MiB", async () => {
  const app = openApp({ TOWPATH_RATE_LIMITS: "run.key=1" });
  const send = async (bytes: number) => {
    const headers = { ...bearer((await key).secret), "content-length": String(bytes) };
    const answer = await app.request("/api/runs/batch", { method: "POST", headers, body: "{}" });
    return [answer.status, /"run-key";r=(\d+)/.exec(answer.headers.get("ratelimit") ?? "")?.[1]];
  };
  const key = tenant.key("admin");
  expect(await send(9 * 1024 * 1024 + 1)).toEqual([415, "0"]);
  expect((await send(9 * 1024 * 1024 + 1))[0]).toBe(429);
});

test("of many large bodies of one workspace a few are read at once, some wait, and the others are refused", async () => {
  const app = openApp();
  const other = await (await createTenant(deps)).key("admin");
  const headers = { ...bearer((await tenant.key("admin")).secret), "content-type": "application/json" };
  const ends: ((error: Error) => void)[] = [];
  const send = async (more: object = {}) => {
    const body = new ReadableStream({
      start: (controller) => void ends.push((error) => controller.error(error)),
    });
    const init = { method: "POST", headers: { ...headers, ...more }, body, duplex: "half" };
    return app.request(new Request("http://here/api/runs/batch", init as RequestInit));
  };
  // The first call with a key records its use, and would finish after the others.
  expect((await app.request("/api/me", { headers })).status).toBe(200);
  const large = Array.from({ length: 80 }, () => send());
  const first = await Promise.any(large);
  expect([first.status, Number(first.headers.get("retry-after"))]).toEqual([429, 1]);
  const small = { method: "POST", headers: { ...headers, "content-length": "2" }, body: "{}" };
  expect((await app.request("/api/runs/batch", small)).status).toBe(400);
  large.push(send(bearer(other.secret)));
  for (const end of ends) end(new TypeError("gone"));
  const statuses = (await Promise.all(large)).map(({ status }) => status);
  expect(statuses.at(-1)).toBe(400);
  const counts = [400, 429].map((one) => statuses.filter((status) => status === one).length);
  expect(counts).toEqual([4 + 64 + 1, 80 - 4 - 64]);
});

describe("a request that is refused", () => {
  test("for its role counts like an accepted one", async () => {
    const app = openApp({ TOWPATH_RATE_LIMITS: "write.key=0.5" });
    const headers = { ...bearer((await tenant.key("viewer")).secret), "content-type": "application/json" };
    const statuses: number[] = [];
    for (let index = 0; index < 7; index++)
      statuses.push((await app.request("/api/keys", { method: "POST", headers, body: "{}" })).status);
    expect(statuses).toEqual([403, 403, 403, 403, 403, 429, 429]);
  });

  test("for its permission does not use up the limit of its workspace, whatever its body announces", async () => {
    const app = openApp({ TOWPATH_RATE_LIMITS: "run.key=1,run.workspace=0.2" });
    const send = async (key: string) => {
      const headers = { ...bearer(key), "content-length": String(9 * 1024 * 1024) };
      return (await app.request("/api/runs/batch", { method: "POST", headers, body: "{}" })).status;
    };
    const { secret } = await tenant.key("viewer");
    const statuses: number[] = [];
    for (let index = 0; index < 11; index++) statuses.push(await send(secret));
    expect(statuses).toEqual([...Array(10).fill(403), 429]);
    expect(await send((await tenant.key("admin")).secret)).toBe(415);
  });

  test("by the limit does not query the browser's session", async () => {
    const app = openApp({ TOWPATH_RATE_LIMITS: "read.key=0.1" });
    const headers = await signedIn(app, (await tenant.key("viewer")).secret);
    expect((await ask(app, { headers, address: "192.0.2.10" })).status).toBe(200);
    const { status } = await withoutIdentities(async () => ask(app, { headers, address: "192.0.2.10" }));
    expect(status).toBe(429);
  });

  test("for its origin does not query the database", async () => {
    const app = openApp();
    const headers = { cookie: "towpath_session=anything", origin: "https://elsewhere.example" };
    const { status } = await withoutIdentities(async () =>
      app.request("/api/sign-out", { method: "POST", headers }),
    );
    expect(status).toBe(403);
  });

  test("since its key was revoked queries the database once", async () => {
    const app = openApp();
    const key = await tenant.workerKey();
    const headers = bearer(await workerToken(key.id));
    await deps.database.sql`update access_key set revoked_at = now() where id = ${key.id}`;
    const claim = async () => (await app.request("/api/worker/claim", { method: "POST", headers })).status;
    expect(await claim()).toBe(401);
    expect(await withoutIdentities(claim)).toBe(401);
  });

  test("as a token that was signed elsewhere counts as a wrong key; valid tokens from there are accepted", async () => {
    const app = openApp();
    const [key, secret] = [await tenant.workerKey(), new Uint8Array(32).fill(7)];
    const claim = async (token: string) => {
      const headers = { ...bearer(token), "content-type": "application/json" };
      return app.request("/api/worker/claim", { method: "POST", headers }, from("192.0.2.11", headers));
    };
    const foreign = await workerToken(key.id, secret);
    const statuses: number[] = [];
    for (let index = 0; index < 3 * FAILED_KEYS.free; index++) statuses.push((await claim(foreign)).status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(FAILED_KEYS.free);
    expect(statuses.at(-1)).toBe(429);
    expect((await claim(await workerToken(key.id))).status).toBe(400);
    expect((await claim("a.b.c")).status).toBe(429);
  });
});

test("a decision without the database does not wait behind unknown keys of its address", async () => {
  const app = openApp();
  const address = "192.0.2.12";
  const { secret } = await tenant.key("viewer");
  const token = bearer(await workerToken((await tenant.workerKey()).id));
  const claim = async () =>
    (await app.request("/api/worker/claim", { method: "POST", headers: token }, from(address, token))).status;
  expect((await ask(app, { headers: bearer(secret), address })).status).toBe(200);
  expect(await claim()).toBe(415);
  for (let index = 0; index <= FAILED_KEYS.free; index++) await ask(app, { headers: wrong(index), address });
  let flood: Promise<Response>[] = [];
  const answers = await withoutIdentities(async () => {
    flood = Array.from({ length: 400 }, async (_, index) => ask(app, { headers: wrong(index), address }));
    // So many that some find the queue full and are refused at once.
    await Promise.any(flood);
    return { key: (await ask(app, { headers: bearer(secret), address })).status, worker: await claim() };
  });
  expect(answers).toEqual({ key: 200, worker: 415 });
  await Promise.all(flood);
});
