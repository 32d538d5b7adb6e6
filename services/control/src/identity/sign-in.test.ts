import { ProblemBody, SignInLink } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { manualClock } from "../kernel/index.ts";
import { bearer, createTenant } from "../tenant.fixture.ts";
import { identifyWith } from "./identify.ts";
import { identityRoutes } from "./routes.ts";
import { forgetSignInsPeriodicJob } from "./sign-in.ts";
import { safePath, signInPage } from "./sign-in-page.ts";

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
    pages: [signInPage(deps)],
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

/** The headers of a browser for a typed or pasted address, and for one that another program opened. */
const BY_HAND = { "sec-fetch-mode": "navigate", "sec-fetch-site": "none" };

describe("browsers", () => {
  /** Presses the button on a link's page, as that page does. */
  const press = (url: string, headers: Record<string, string> = { origin: "http://localhost" }, at = app) => {
    const asked = new URL(url).searchParams;
    return at.request("/sign-in", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded", host: "localhost", ...headers },
      body: new URLSearchParams({ token: asked.get("token") ?? "", to: asked.get("to") ?? "" }).toString(),
    });
  };

  async function link(headers: Record<string, string>): Promise<string> {
    const response = await app.request("/api/sign-in-links", { method: "POST", headers });
    expect(response.status).toBe(201);
    return SignInLink.parse(await response.json()).url;
  }

  async function signIn() {
    const tenant = await createTenant(deps);
    const key = await tenant.key("admin");
    const url = await link(bearer(key.secret));
    const response = await press(`${url}&to=/runs/abc?tab=log`);
    const cookie = (response.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    return { tenant, key, url, response, cookie };
  }

  test("403: a signed-in browser cannot create a link, so a stolen cookie ends with its session", async () => {
    const { cookie } = await signIn();
    const headers = { cookie, origin: "http://localhost", host: "localhost" };
    const response = await app.request("/api/sign-in-links", { method: "POST", headers });
    expect(ProblemBody.parse(await response.json())).toMatchObject({
      code: "forbidden",
      detail: "A browser cannot create a sign-in link. Create it with a key.",
    });
  });

  test("303: a link signs in once and redirects to the requested page", async () => {
    const { url, response, cookie } = await signIn();
    expect(response.status).toBe(303);
    expect(response.headers.get("location")).toBe("/runs/abc?tab=log");
    expect(response.headers.get("set-cookie")).toMatch(/HttpOnly/);
    expect(response.headers.get("set-cookie")).toMatch(/SameSite=Lax/);
    expect(response.headers.get("set-cookie")).not.toMatch(/Secure/);
    expect((await app.request("/api/me", { headers: { cookie } })).status).toBe(200);
    expect((await app.request(url, { headers: BY_HAND })).status).toBe(403);
    expect((await press(url)).status).toBe(403);
  });

  test("200: opening a link, in whatever way, shows its workspace and a button, and does not use it up", async () => {
    const url = await link(bearer((await (await createTenant(deps)).key("viewer")).secret));
    const strangers = [
      {},
      BY_HAND,
      { ...BY_HAND, cookie: (await signIn()).cookie },
      { "user-agent": "Slackbot-LinkExpanding 1.0" },
      { "sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site" },
      { "sec-fetch-mode": "navigate", "sec-fetch-site": "same-site" },
      // A link in a log line or an artifact in the dashboard.
      { "sec-fetch-mode": "navigate", "sec-fetch-site": "same-origin" },
      { "sec-fetch-mode": "no-cors", "sec-fetch-site": "none" },
      { ...BY_HAND, "sec-purpose": "prefetch;prerender" },
    ];
    for (const headers of strangers) {
      const shown = await app.request(`${url}&to=/runs/%22%3E%3Cscript%3E`, { headers });
      expect([shown.status, shown.headers.get("set-cookie")]).toEqual([200, null]);
      const text = await shown.text();
      expect(text).toContain("Sign this browser in");
      expect(text).toMatch(
        /workspace <strong>test<\/strong> with the key <strong>viewer<\/strong> \(viewer\)/,
      );
      expect(text).not.toContain("<script>");
    }
    const pressed = await press(`${url}&to=/runs/abc`);
    expect([pressed.status, pressed.headers.get("location")]).toEqual([303, "/runs/abc"]);
    expect(pressed.headers.get("set-cookie")).toMatch(/HttpOnly/);
    expect((await press(url)).status).toBe(403);
  });

  test("403: a form of another site signs nobody in", async () => {
    const url = await link(bearer((await (await createTenant(deps)).key("viewer")).secret));
    for (const headers of [{}, { origin: "null" }, { origin: "https://evil.example" }]) {
      const answer = await press(url, headers);
      expect([answer.status, answer.headers.get("set-cookie")]).toEqual([403, null]);
    }
    expect((await press(url)).status).toBe(303);
  });

  test("of many concurrent uses of a link, one signs in", async () => {
    const tenant = await createTenant(deps);
    const url = await link(bearer((await tenant.key("viewer")).secret));
    const answers = await Promise.all(Array.from({ length: 8 }, () => press(url)));
    expect(answers.filter((answer) => answer.status === 303)).toHaveLength(1);
  });

  test("a HEAD probe does not use a link up", async () => {
    const tenant = await createTenant(deps);
    const url = await link(bearer((await tenant.key("viewer")).secret));
    await app.request(url, { method: "HEAD" });
    expect((await press(url)).status).toBe(303);
  });

  test("403: a link ends after ten minutes, and with its key", async () => {
    const tenant = await createTenant(deps);
    const key = await tenant.key("viewer");
    const late = await link(bearer(key.secret));
    clock.advance(10 * MINUTE_MS + 1);
    expect((await press(late)).status).toBe(403);
  });

  test("401: a session ends after twelve hours, and at once with its key", async () => {
    const { cookie } = await signIn();
    const second = await signIn();
    const headers = bearer(second.key.secret);
    await app.request(`/api/keys/${second.key.id}`, { method: "DELETE", headers });
    expect((await app.request("/api/me", { headers: { cookie: second.cookie } })).status).toBe(401);
    clock.advance(12 * 60 * MINUTE_MS + 1);
    expect((await app.request("/api/me", { headers: { cookie } })).status).toBe(401);
  });

  test("403: with a cookie, only our own pages may change anything", async () => {
    const { cookie } = await signIn();
    const attempt = (origin: Record<string, string>) =>
      app.request("/api/keys", post({ kind: "api", name: "x" }, { cookie, host: "localhost", ...origin }));
    expect((await attempt({})).status).toBe(403);
    expect((await attempt({ origin: "http://evil.example" })).status).toBe(403);
    expect((await attempt({ origin: "null" })).status).toBe(403);
    expect((await attempt({ origin: "http://localhost" })).status).toBe(201);
  });

  const MINE = { origin: "http://localhost", host: "localhost" };
  const sessionsOf = async (headers: Record<string, string>) => {
    const answer = await app.request("/api/sessions", { headers });
    return ((await answer.json()) as { items: { id: string; current: boolean; key: { id: string } }[] })
      .items;
  };

  test("sessions are listed and ended: by an admin all, by others those of their key, never those of another workspace", async () => {
    const { tenant, key, cookie } = await signIn();
    const viewer = await tenant.key("viewer");
    clock.advance(1);
    const pressed = await press(await link(bearer(viewer.secret)));
    const viewerCookie = (pressed.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    const all = await sessionsOf({ cookie });
    expect(all.map(({ key: { id }, current }) => [id, current])).toEqual([
      [viewer.id, false],
      [key.id, true],
    ]);
    expect(await sessionsOf(bearer(viewer.secret))).toHaveLength(1);
    const end = async (id: string | undefined, headers: Record<string, string>) =>
      (await app.request(`/api/sessions/${id}`, { method: "DELETE", headers })).status;
    const stranger = bearer((await (await createTenant(deps)).key("admin")).secret);
    expect(await end(all[0]?.id, stranger)).toBe(404);
    expect(await end(all[1]?.id, bearer(viewer.secret))).toBe(404);
    expect(await end(all[0]?.id, { cookie, ...MINE })).toBe(204);
    expect((await app.request("/api/me", { headers: { cookie: viewerCookie } })).status).toBe(401);
    expect(await end(all[0]?.id, { cookie, ...MINE })).toBe(404);
  });

  test("signing out ends the session and deletes the browser's cookie", async () => {
    const { cookie } = await signIn();
    const answer = await app.request("/api/sign-out", { method: "POST", headers: { cookie, ...MINE } });
    expect([answer.status, answer.headers.get("set-cookie")]).toEqual([
      204,
      expect.stringMatching(/^towpath_session=; Max-Age=0/),
    ]);
    expect((await app.request("/api/me", { headers: { cookie } })).status).toBe(401);
  });

  test("403: a browser that signed in too long ago cannot create a key, which would outlive its session", async () => {
    const { cookie, key } = await signIn();
    const make = (headers: Record<string, string>) =>
      app.request("/api/keys", post({ kind: "api", name: "x" }, headers));
    expect((await make({ cookie, ...MINE })).status).toBe(201);
    clock.advance(16 * MINUTE_MS);
    const refused = await make({ cookie, ...MINE });
    expect(ProblemBody.parse(await refused.json())).toMatchObject({
      status: 403,
      code: "sign-in-needed",
      detail: expect.stringContaining("sign in again"),
    });
    expect((await make(bearer(key.secret))).status).toBe(201);
  });

  test("a wrong key never falls back to the cookie", async () => {
    const { cookie } = await signIn();
    const headers = { cookie, authorization: "Bearer nonsense" };
    expect((await app.request("/api/me", { headers })).status).toBe(401);
  });

  test("where the public address is https the cookie is for https only", async () => {
    const config = { ...deps.config, publicUrl: "https://towpath.example" };
    const secure = { ...deps, config };
    const tls = openTestApp({
      deps: secure,
      identify: identifyWith(secure),
      slices: [identityRoutes],
      pages: [signInPage(secure)],
    });
    const tenant = await createTenant(deps);
    const headers = bearer((await tenant.key("viewer")).secret);
    const made = await tls.request("/api/sign-in-links", { method: "POST", headers });
    const { url } = SignInLink.parse(await made.json());
    expect(url).toMatch(/^https:\/\/towpath\.example\/sign-in\?token=/);
    const response = await press(url, { origin: "https://towpath.example" }, tls);
    const cookies = response.headers.getSetCookie();
    expect(cookies.find((one) => one.startsWith("__Host-towpath_session="))).toMatch(
      /Max-Age=43200; Path=\/; HttpOnly; Secure/,
    );
    expect(cookies.find((one) => one.startsWith("towpath_session="))).toMatch(/^towpath_session=; Max-Age=0/);
    const [, token] = /__Host-towpath_session=([^;]+)/.exec(cookies.join("\n")) ?? [];
    const asked = async (name: string) =>
      (await tls.request("/api/me", { headers: { cookie: `${name}=${token}` } })).status;
    expect(await asked("__Host-towpath_session")).toBe(200);
    // A neighbouring host could have set a cookie without the prefix.
    expect(await asked("towpath_session")).toBe(401);
    expect(response.headers.get("strict-transport-security")).toContain("max-age");
  });

  test.each([
    ["/runs/1", "/runs/1"],
    ["//evil.example", "/"],
    ["/\\evil.example", "/"],
    ["/.//evil.example", "/"],
    ["https://evil.example", "/"],
    ["javascript:alert(1)", "/"],
    [undefined, "/"],
  ])("signing in with to=%s leads to %s", (to, path) => {
    expect(safePath(to)).toBe(path);
  });

  test("expired links and sessions are deleted", async () => {
    await signIn();
    clock.advance(24 * 60 * MINUTE_MS);
    await forgetSignInsPeriodicJob.runOnce(deps);
    const [rest] = await deps.database.db.execute<{ count: number }>(
      sql`select ((select count(*) from sign_in_link) + (select count(*) from browser_session))::int as count`,
    );
    expect(rest).toEqual({ count: 0 });
  });
});
