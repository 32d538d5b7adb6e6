import { PROBLEMS, Problem, ProblemBody, ROLES } from "@towpath/contract";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DrizzleQueryError, sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../../test/harness/index.ts";
import { openTestApp } from "../../app.fixture.ts";
import { openTestDeps, type TestDeps } from "../../deps.fixture.ts";
import { systemScope } from "../scope.ts";
import { createApp } from "./app.ts";
import type { Identify } from "./caller.ts";
import { loggableError } from "./failure.ts";
import type { SliceRoutes } from "./handle.ts";

const WORKSPACE = "0199a000-0000-7000-8000-000000000001";
const admin: Identify = async () => ({ kind: "person", scope: systemScope(WORKSPACE) });

let database: TestDatabase;
let deps: TestDeps;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

const json = (body: unknown, headers: Record<string, string> = {}) => ({
  method: "POST",
  body: typeof body === "string" ? body : JSON.stringify(body),
  headers: { "content-type": "application/json", ...headers },
});

const pool = (name: string) => ({
  id: WORKSPACE,
  name,
  type: "process" as const,
  createdAt: "2026-01-01T00:00:00.000Z",
  ready: 0,
  running: 0,
  workersOnline: 0,
  workersPaused: 0,
});

const echoPools: SliceRoutes = (register) => {
  register("createPool", async ({ body }) => pool(body.name));
};

async function problemIn(response: Response) {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return ProblemBody.parse(await response.json());
}

describe("200 and 201", () => {
  test("an answer has the route's status, a request id, and security headers", async () => {
    const app = openTestApp({ deps, identify: admin, slices: [echoPools] });
    const response = await app.request("/api/pools", json({ name: "local" }));
    expect(response.status).toBe(201);
    expect(await response.json()).toMatchObject({ name: "local" });
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    expect(response.headers.get("content-security-policy")).not.toContain("unsafe");
  });

  test("a route without an answer returns 204 and no body", async () => {
    const slice: SliceRoutes = (register) => register("revokeKey", async () => undefined);
    const app = openTestApp({ deps, identify: admin, slices: [slice] });
    const response = await app.request(`/api/keys/${WORKSPACE}`, { method: "DELETE" });
    expect(response.status).toBe(204);
    expect(await response.text()).toBe("");
  });
});

describe("400", () => {
  test("all faults are reported at once with the paths of their fields, and no value is repeated", async () => {
    const app = openTestApp({ deps, identify: admin });
    const secret = "hunter2-the-password";
    const response = await app.request(
      "/api/runs",
      json({
        id: secret,
        deployment: secret.toUpperCase(),
        parameters: secret,
        priority: 1e9,
        parameterz: secret,
      }),
    );
    expect(response.status).toBe(400);
    const text = await response.clone().text();
    expect(text.toLowerCase()).not.toContain(secret);
    const { faults = [], code, instance, retryable } = await problemIn(response);
    expect({ code, instance, retryable }).toEqual({
      code: "bad-request",
      instance: "/api/runs",
      retryable: false,
    });
    expect(faults.map((fault) => fault.path).sort()).toEqual(
      ["deployment", "id", "parameters", "parameterz", "priority"].sort(),
    );
    expect(faults.find((fault) => fault.path === "parameterz")?.suggestion).toBe(
      'did you mean "parameters"?',
    );
  });

  test("invalid JSON is reported without repeating it", async () => {
    const app = openTestApp({ deps, identify: admin });
    const response = await app.request("/api/pools", json("{secret"));
    expect(response.status).toBe(400);
    expect(JSON.stringify(await problemIn(response))).not.toContain("secret");
  });

  test.each([
    ["NUL", { name: "a\0b" }, "name"],
    ["half a surrogate pair", { name: "a\ud800" }, "name"],
  ])("%s cannot be stored and is refused by its field", async (_, body, path) => {
    const app = openTestApp({ deps, identify: admin });
    const problem = await problemIn(await app.request("/api/pools", json(body)));
    expect(problem).toMatchObject({ status: 400, faults: [{ path }] });
  });

  test("a document nested too deeply is refused instead of exhausting the stack", async () => {
    const app = openTestApp({ deps, identify: admin });
    const response = await app.request("/api/pools", json(`${"[".repeat(200_000)}${"]".repeat(200_000)}`));
    expect(response.status).toBe(400);
  });

  test("a query and a path are checked like a body", async () => {
    const app = openTestApp({ deps, identify: admin });
    const query = await problemIn(await app.request("/api/pools?limit=0"));
    expect(query.faults?.[0]?.path).toBe("limit");
    const unknown = await problemIn(await app.request("/api/pools?limt=1"));
    expect(unknown).toMatchObject({
      code: "bad-request",
      detail: "Correct these fields: limt.",
      faults: [{ path: "limt", suggestion: 'did you mean "limit"?' }],
    });
    const path = await problemIn(await app.request("/api/runs/nothing"));
    expect(path.faults?.[0]?.path).toBe("runId");
  });
});

describe("403", () => {
  test("a caller without the permission gets its name", async () => {
    const identify: Identify = async () => ({
      kind: "person",
      scope: { ...systemScope(WORKSPACE), role: "viewer", permissions: ROLES.viewer },
    });
    const app = openTestApp({ deps, identify });
    const problem = await problemIn(await app.request("/api/pools", json({ name: "local" })));
    expect(problem).toMatchObject({ status: 403, code: "forbidden" });
    expect(problem.detail).toContain('"deploy"');
  });

  test("the body of a refused request is not parsed", async () => {
    const identify: Identify = async () => {
      throw new Problem("unauthenticated", "nobody");
    };
    const app = openTestApp({ deps, identify });
    const response = await app.request("/api/pools", json("not json"));
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
  });
});

describe("404", () => {
  test("an unknown path is answered with a problem", async () => {
    const app = openTestApp({ deps, identify: admin });
    expect(await problemIn(await app.request("/api/nothing"))).toMatchObject({ code: "not-found" });
  });

  test("another method at a known path names the supported ones", async () => {
    const app = openTestApp({ deps, identify: admin });
    const response = await app.request("/api/runs/abc/cancel", { method: "DELETE" });
    expect(response.status).toBe(404);
    expect(response.headers.get("allow")).toBe("POST");
  });
});

describe("400", () => {
  test("a body that breaks off is not a failure of ours or of the database", async () => {
    const app = openTestApp({ deps, identify: admin, slices: [echoPools] });
    const reset = Object.assign(new Error("aborted"), { code: "ECONNRESET" });
    const body = new ReadableStream({ pull: (controller) => controller.error(reset) });
    const request = new Request("http://x/api/pools", { ...json({}), body, duplex: "half" } as RequestInit);
    const response = await app.request(request);
    expect(response.status).toBe(400);
    expect(await problemIn(response)).toMatchObject({
      code: "bad-request",
      detail: expect.stringContaining("ended"),
    });
  });
});

describe("413 and 415", () => {
  test("a body over the limit is refused by its announced length", async () => {
    const app = openTestApp({ deps, identify: admin });
    const response = await app.request("/api/pools", json("{}", { "content-length": "99999999" }));
    expect(response.status).toBe(413);
  });

  test("a body over the limit is refused while it is read when no length was announced", async () => {
    const app = openTestApp({ deps, identify: admin });
    const chunk = new TextEncoder().encode(" ".repeat(256 * 1024));
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1;
        controller.enqueue(chunk);
      },
    });
    const init: RequestInit = {
      method: "POST",
      body,
      duplex: "half",
      headers: { "content-type": "application/json" },
    };
    const response = await app.request("/api/pools", init);
    expect(response.status).toBe(413);
    expect(sent).toBeLessThan(20);
  });

  test("a body that is not announced as JSON is refused", async () => {
    const app = openTestApp({ deps, identify: admin });
    const response = await app.request("/api/pools", json({ name: "x" }, { "content-type": "text/plain" }));
    expect(await problemIn(response)).toMatchObject({ status: 415 });
  });
});

describe("500 and 503", () => {
  const failing = (error: () => unknown): SliceRoutes => {
    return (register) =>
      register("createPool", async () => {
        throw error();
      });
  };

  function appWithLog(error: () => unknown) {
    const lines: string[] = [];
    const log = pino(
      { serializers: { err: loggableError } },
      { write: (line: string) => void lines.push(line) },
    );
    return { lines, app: openTestApp({ deps: { ...deps, log }, identify: admin, slices: [failing(error)] }) };
  }

  test("an unexpected error reveals nothing to the caller, and its request id is in the log", async () => {
    const { app, lines } = appWithLog(() => new Error("secret inside"));
    const response = await app.request("/api/pools", json({ name: "x" }));
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret inside");
    const line = JSON.parse(lines.join(""));
    expect(line).toMatchObject({ status: 500, route: "/api/pools", err: { message: "secret inside" } });
    expect(line.request).toBe(response.headers.get("x-request-id"));
  });

  test("the log contains neither parameters nor values of a failed statement", async () => {
    const failed = await deps.database.db
      .execute(sql`select ${"hunter2"}::text, ${"hunter2"}::uuid`)
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(DrizzleQueryError);
    const { app, lines } = appWithLog(() => failed);
    const response = await app.request("/api/pools", json({ name: "x" }));
    expect(response.status).toBe(500);
    expect(lines.join("")).toContain("22P02");
    expect(lines.join("")).toContain("select $1");
    expect(lines.join("")).not.toContain("hunter2");
  });

  test("a database that is away is answered 503 and retryable", async () => {
    const away = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const { app } = appWithLog(() => new DrizzleQueryError("select 1", [], away));
    const response = await app.request("/api/pools", json({ name: "x" }));
    expect(response.headers.get("retry-after")).toBe("1");
    expect(await problemIn(response)).toMatchObject({ status: 503, retryable: true });
  });

  test("an answer outside the contract is our fault where answers are checked", async () => {
    const slice: SliceRoutes = (register) =>
      register("createPool", async () => ({ ...pool("x"), ready: 0.5 }));
    const app = openTestApp({ deps, identify: admin, slices: [slice] });
    expect((await app.request("/api/pools", json({ name: "x" }))).status).toBe(500);
  });
});

describe("registration", () => {
  const parts = () => ({ deps, identify: admin, shutdown: new AbortController().signal });

  test("a row without a handler is refused at start", () => {
    expect(() => createApp({ ...parts(), slices: [] })).toThrow(/no handler: getMe/);
  });

  test("two handlers of one row are refused at start", () => {
    expect(() => createApp({ ...parts(), slices: [echoPools, echoPools] })).toThrow(/createPool has two/);
  });
});

test("every problem's status is a valid HTTP status", () => {
  for (const { status } of Object.values(PROBLEMS))
    expect(() => new Response(null, { status })).not.toThrow();
});
