import { Problem, ROUTES, uuidv7 } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { createClient } from "./client.ts";
import { ConnectionFailure, UnexpectedAnswer } from "./failure.ts";
import { json, POOLS, problemBody, SOME_ID, serve } from "./fixture.ts";

const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (failure: unknown) => failure,
  );

describe("the typed client", () => {
  test("has one method for every route of the table", () => {
    expect(Object.keys(createClient({ url: "" })).sort()).toEqual(Object.keys(ROUTES).sort());
  });

  test("fills in path, query, body and key", async () => {
    await using server = await serve((request, response) =>
      request.method === "GET" ? json(response, 200, POOLS) : response.writeHead(204).end(),
    );
    const client = createClient({ url: `${server.url}/`, token: async () => "twp_api_x" });
    expect(await client.listPools({ query: { limit: 2, cursor: "a b" } })).toEqual(POOLS);
    expect(await client.revokeKey({ params: { keyId: "a/b" } })).toBeUndefined();
    expect(server.received.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET /api/pools?limit=2&cursor=a+b",
      "DELETE /api/keys/a%2Fb",
    ]);
    expect(server.received[0]?.headers.authorization).toBe("Bearer twp_api_x");
  });

  test("sends JSON only where the route has a body", async () => {
    await using server = await serve((_, response) =>
      json(response, 201, { url: "http://x/sign-in", expiresAt: "2026-01-01T00:00:00.000Z" }),
    );
    await createClient({ url: server.url }).createSignInLink();
    expect(server.received[0]).toMatchObject({ body: "", method: "POST" });
    expect(server.received[0]?.headers["content-type"]).toBeUndefined();
    expect(server.received[0]?.headers.authorization).toBeUndefined();
  });

  test("throws the server's problem with code and faults", async () => {
    const faults = [{ path: "parameters.islnd", message: "unknown parameter", suggestion: "island?" }];
    await using server = await serve((_, response) =>
      json(response, 422, problemBody(422, "invalid-parameters", { faults })),
    );
    const failure = await caught(
      createClient({ url: server.url }).createRun({ body: { id: uuidv7(1), deployment: "penguins" } }),
    );
    expect(failure).toBeInstanceOf(Problem);
    expect(failure).toMatchObject({ code: "invalid-parameters", detail: "because", faults });
    expect(server.received).toHaveLength(1);
  });

  test("replaces an unknown problem code with a known one of the same status", async () => {
    await using server = await serve((_, response) => json(response, 409, problemBody(409, "too-cold")));
    const failure = await caught(createClient({ url: server.url }).getMe());
    expect(failure).toBeInstanceOf(Problem);
    expect(failure).toMatchObject({ status: 409, detail: "because (too-cold)" });
  });

  test.each([301, 302, 303, 307, 308])("follows no redirect: %d", async (status) => {
    await using elsewhere = await serve((_, response) => json(response, 200, POOLS));
    const location = `${elsewhere.url}/steal`;
    await using server = await serve((_, response) => response.writeHead(status, { location }).end());
    const client = createClient({ url: server.url, token: "twp_api_x" });
    const create = client.createRun({
      body: { id: uuidv7(1), deployment: "penguins", parameters: { a: 1 } },
    });
    const followed = async () => {
      for await (const _ of client.streamChanges()) return;
    };
    for (const failure of await Promise.all([client.listPools(), create, followed()].map(caught)))
      expect(failure).toMatchObject({
        name: "UnexpectedAnswer",
        message: `${server.url} answered ${status}: a redirect to ${location}, which is not followed. If the control plane has moved, use its new address`,
      });
    expect(elsewhere.received).toEqual([]);
  });

  test("quotes an answer that is not from a control plane", async () => {
    await using server = await serve((request, response) => {
      const status = request.path.includes("me") ? 200 : 404;
      response.writeHead(status, { "content-type": "text/html" }).end("<h1>It\nworks</h1>");
    });
    const client = createClient({ url: server.url });
    expect(await caught(client.getMe())).toMatchObject({
      name: "UnexpectedAnswer",
      message: `${server.url} answered 200: not JSON: <h1>It works</h1>`,
    });
    expect(await caught(client.listPools())).toMatchObject({ status: 404 });
  });

  test("checks answers against the contract, unless validation is off", async () => {
    const odd = { items: [{ id: 7 }], next: null };
    await using server = await serve((_, response) => json(response, 200, odd));
    const client = createClient({ url: server.url });
    const failure = await caught(client.listPools());
    expect(failure).toBeInstanceOf(UnexpectedAnswer);
    expect(String(failure)).toContain("items.0.id");
    expect(await client.listPools({}, { validate: false })).toEqual(odd);
  });
});

/** A valid key of a list. */
const KEY = {
  id: SOME_ID,
  kind: "api",
  name: "ci",
  role: "viewer",
  pool: null,
  createdAt: "2026-01-01T00:00:00.000Z",
  lastUsedAt: null,
  revokedAt: null,
};

describe("repetition", () => {
  test("repeats a repeatable request after a temporary failure", async () => {
    await using server = await serve((_, response, count) => {
      if (count === 1) response.destroy();
      else if (count === 2) json(response, 503, problemBody(503, "unavailable"));
      else if (count === 3) response.writeHead(502).end("bad gateway");
      else json(response, 200, POOLS);
    });
    expect(await createClient({ url: server.url }).listPools()).toEqual(POOLS);
    expect(server.received).toHaveLength(4);
  });

  test("sends the same run id again, and never repeats a request that could create a second object", async () => {
    await using server = await serve((_, response) => response.destroy());
    const client = createClient({ url: server.url, retries: 1 });
    const body = { id: SOME_ID, deployment: "penguins" };
    expect(await caught(client.createRun({ body }))).toBeInstanceOf(ConnectionFailure);
    expect(server.received.map((request) => JSON.parse(request.body).id)).toEqual([SOME_ID, SOME_ID]);
    await caught(client.createKey({ body: { kind: "api", name: "ci" } }));
    await caught(client.renew({ body: { held: [] } }));
    await caught(client.listPools({}, { retries: 0 }));
    expect(server.received).toHaveLength(5);
  });

  test("waits as long as Retry-After says, after any refused request, up to a limit", async () => {
    await using server = await serve((_, response, count) => {
      response.setHeader("retry-after", count === 1 ? "1" : "3600");
      if (count === 2) json(response, 201, { key: KEY, secret: "s" });
      else json(response, 429, problemBody(429, "too-many-requests"));
    });
    const client = createClient({ url: server.url });
    const before = performance.now();
    expect(await client.createKey({ body: { kind: "api", name: "ci" } })).toMatchObject({ secret: "s" });
    expect(performance.now() - before).toBeGreaterThan(990);
    const refused = await caught(client.listPools());
    expect(refused).toMatchObject({ code: "too-many-requests", retryAfterMs: 3_600_000 });
    expect(server.received).toHaveLength(3);
  });

  test("does not repeat a request after a conflict", async () => {
    await using server = await serve((_, response) =>
      json(response, 409, problemBody(409, "version-conflict")),
    );
    const failure = await caught(
      createClient({ url: server.url }).registerVersion({ body: { spec: "a.b.c" } }),
    );
    expect(failure).toMatchObject({ code: "version-conflict" });
    expect(server.received).toHaveLength(1);
  });

  test("names the address and the system's code if no server listens", async () => {
    const { url } = await (async () => {
      await using closed = await serve(() => undefined);
      return { url: closed.url };
    })();
    const failure = await caught(createClient({ url, retries: 0 }).getMe());
    expect(failure).toMatchObject({ systemCode: "ECONNREFUSED", url, timedOut: false });
    expect(String(failure)).toContain(`${url} cannot be reached (ECONNREFUSED)`);
  });

  test("fails after the time limit of a silent server, and at once if the caller aborts", async () => {
    await using server = await serve(() => undefined);
    const client = createClient({ url: server.url, retries: 0 });
    expect(await caught(client.getMe({}, { timeoutMs: 50 }))).toMatchObject({ timedOut: true });
    const reason = new Error("enough");
    const abort = new AbortController();
    const call = caught(client.getMe({}, { signal: abort.signal }));
    abort.abort(reason);
    expect(await call).toBe(reason);
  });
});
