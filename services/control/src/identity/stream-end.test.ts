import { SignInLink } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { manualClock, type SliceRoutes, type StreamEvent } from "../kernel/index.ts";
import { bearer, createTenant } from "../tenant.fixture.ts";
import { identifyWith } from "./identify.ts";
import { identityRoutes } from "./routes.ts";
import { signInPage } from "./sign-in-page.ts";
import { issueWorkerToken } from "./worker-token.ts";

const SESSION_MS = 12 * 3_600_000;
const LEFT_MS = 30;

const clock = manualClock(Date.now());
let database: TestDatabase;
let deps: TestDeps;
let app: Hono;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url, clock });
  const slices = [identityRoutes, silent];
  app = openTestApp({ deps, identify: identifyWith(deps), slices, pages: [signInPage(deps)] });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

/** Streams and polls that stay silent until they must end. */
const silent: SliceRoutes = (register) => {
  register("streamChanges", async ({ signal }) => untilAborted(signal));
  register("claim", async ({ signal }) => {
    await aborted(signal);
    return { assignments: [], commands: [], superseded: false };
  });
};
/** Called for each waiting call. */
let onWaiting = () => {};
function aborted(signal: AbortSignal): Promise<unknown> {
  onWaiting();
  return new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
async function* untilAborted(signal: AbortSignal): AsyncGenerator<StreamEvent> {
  await aborted(signal);
  yield* [];
}

async function openStream(headers: Record<string, string>) {
  const response = await app.request("/api/events", { headers });
  expect(response.status).toBe(200);
  return { ended: response.text() };
}

async function signIn(key: string): Promise<{ cookie: string }> {
  const made = await app.request("/api/sign-in-links", { method: "POST", headers: bearer(key) });
  const { url } = SignInLink.parse(await made.json());
  const response = await app.request("/sign-in", {
    method: "POST",
    body: new URLSearchParams({ token: new URL(url).searchParams.get("token") ?? "" }),
    headers: { origin: "http://localhost", host: "localhost" },
  });
  return { cookie: (response.headers.get("set-cookie") ?? "").split(";")[0] ?? "" };
}

test("when a key is revoked, its streams end, and those of browsers that it signed in; other streams stay open", async () => {
  const tenant = await createTenant(deps);
  const admin = bearer((await tenant.key("admin")).secret);
  const key = await tenant.key("viewer");
  const streams = [
    await openStream(bearer(key.secret)),
    await openStream(await signIn(key.secret)),
    await openStream(admin),
  ];
  let others = 0;
  void streams[2]?.ended.then(() => {
    others += 1;
  });
  await app.request(`/api/keys/${key.id}`, { method: "DELETE", headers: admin });
  await Promise.all(streams.slice(0, 2).map(({ ended }) => ended));
  expect(others).toBe(0);
});

test("revoking a key again ends streams that missed the first revocation", async () => {
  const tenant = await createTenant(deps);
  const admin = bearer((await tenant.key("admin")).secret);
  const key = await tenant.key("viewer");
  const stream = await openStream(bearer(key.secret));
  await deps.database.sql`update access_key set revoked_at = now() where id = ${key.id}`;
  const again = await app.request(`/api/keys/${key.id}`, { method: "DELETE", headers: admin });
  expect(again.status).toBe(204);
  await stream.ended;
});

test("ending a browser's session ends its stream; that of the key's other browser stays open", async () => {
  const tenant = await createTenant(deps);
  const key = await tenant.key("viewer");
  const [other, ended] = [await signIn(key.secret), await signIn(key.secret)];
  let others = 0;
  void (await openStream(other)).ended.then(() => {
    others += 1;
  });
  const stream = await openStream(ended);
  const headers = { ...ended, origin: "http://localhost", host: "localhost" };
  let keysForgotten = 0;
  const leave = deps.wakes.subscribe("key", key.id, () => {
    keysForgotten += 1;
  });
  await app.request("/api/sign-out", { method: "POST", headers });
  await stream.ended;
  leave();
  expect({ others, keysForgotten }).toEqual({ others: 0, keysForgotten: 0 });
  expect((await app.request("/api/me", { headers: ended })).status).toBe(401);
});

test("revoking the key of a worker's session ends its waiting poll; other polls wait on", async () => {
  const tenant = await createTenant(deps);
  const admin = bearer((await tenant.key("admin")).secret);
  const poll = async () => {
    const key = await tenant.workerKey();
    const ids = { workerId: key.id, poolId: key.id, keyId: key.id };
    const token = await issueWorkerToken(deps, { workspaceId: tenant.workspaceId, ...ids, generation: 1 });
    const body = JSON.stringify({ free: 1, held: [], waitMs: 25_000, seq: 1, heard: 0 });
    const headers = { ...bearer(token), "content-type": "application/json" };
    return { key, ask: async () => app.request("/api/worker/claim", { method: "POST", headers, body }) };
  };
  const [revoked, other] = [await poll(), await poll()];
  let others = 0;
  const { promise: bothWait, resolve } = Promise.withResolvers<void>();
  let waiting = 0;
  onWaiting = () => {
    waiting += 1;
    if (waiting === 2) resolve();
  };
  void other.ask().then(() => {
    others += 1;
  });
  const answer = revoked.ask();
  await bothWait;
  await app.request(`/api/keys/${revoked.key.id}`, { method: "DELETE", headers: admin });
  expect((await answer).status).toBe(200);
  expect((await revoked.ask()).status).toBe(401);
  expect(others).toBe(0);
});

test("a browser's stream ends with its session", async () => {
  const tenant = await createTenant(deps);
  const session = await signIn((await tenant.key("viewer")).secret);
  clock.advance(SESSION_MS - LEFT_MS);
  const { ended } = await openStream(session);
  clock.advance(LEFT_MS);
  await ended;
  expect((await app.request("/api/events", { headers: session })).status).toBe(401);
});
