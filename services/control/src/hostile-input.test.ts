import { type Json, LIMITS, RATE_CLASSES, RATE_LIMITS, ROUTES, type Route } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createTestDatabase, type TestDatabase } from "../../../test/harness/index.ts";
import { openTestApp } from "./app.fixture.ts";
import { openTestDeps, type TestDeps } from "./deps.fixture.ts";
import { identifyWith, issueWorkerToken } from "./identity/index.ts";
import { CONTAINERS_MAX, type SliceRoutes } from "./kernel/index.ts";
import { SLICES } from "./slices.ts";
import { bearer, createTenant } from "./tenant.fixture.ts";

const ID = "0199a000-0000-7000-8000-000000000001";

let database: TestDatabase;
let deps: TestDeps;
let app: Hono;
const callers = { nobody: {}, owner: {}, viewer: {}, "worker key": {}, worker: {} };

beforeAll(async () => {
  database = await createTestDatabase();
  // Without rate limits, which would refuse requests before their checks.
  const rates = new Map(
    RATE_CLASSES.flatMap((name) =>
      Object.keys(RATE_LIMITS[name].perSecond).map((subject) => [`${name}.${subject}`, null]),
    ),
  );
  deps = await openTestDeps({ url: database.url, config: { rates } });
  app = openTestApp({ deps, identify: identifyWith(deps), slices: SLICES });
  const { workspaceId, key, workerKey } = await createTenant(deps);
  callers.owner = bearer((await key("admin")).secret);
  callers.viewer = bearer((await key("viewer")).secret);
  const made = await workerKey();
  callers["worker key"] = bearer(made.secret);
  const claims = { workspaceId, workerId: ID, poolId: ID, keyId: made.id, generation: 1 };
  callers.worker = bearer(await issueWorkerToken(deps, claims));
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

/** A caller who may use a route, and one who may not. */
function callersOf({ permission }: Route): { right: object; wrong: object } {
  if (permission === "worker") return { right: callers.worker, wrong: callers.owner };
  if (permission === "worker-key") return { right: callers["worker key"], wrong: callers.owner };
  return { right: callers.owner, wrong: permission === "public" ? callers.nobody : callers["worker key"] };
}

const all = Object.entries<Route>(ROUTES);
const withBody = all.filter(([, route]) => route.body !== undefined);
const pathOf = (route: Route) => route.path.replace("{name}", "local").replace(/\{\w+\}/g, ID);

/** A body that records whether anybody has begun to read it. */
function watchedBody() {
  const read = { begun: false };
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    read.begun = true;
    controller.enqueue(new TextEncoder().encode("{}"));
    controller.close();
  };
  return { read, body: new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 }) };
}

describe.each(withBody)("%s takes a body", (_, route) => {
  test("only of callers who may send one: the body of others is not read", async () => {
    for (const caller of [callers.nobody, callersOf(route).wrong]) {
      const { read, body } = watchedBody();
      const headers = { "content-type": "application/json", ...caller };
      const init: RequestInit = { method: route.method, headers, body, duplex: "half" };
      const { status } = await app.request(pathOf(route), init);
      expect([401, 403, 404]).toContain(status);
      expect(read.begun).toBe(false);
    }
  });

  test.runIf(route.permission !== "public")("up to a limit", async () => {
    const limit = route.bodyBytes ?? LIMITS.bodyBytes;
    const headers = {
      "content-type": "application/json",
      "content-length": `${limit + 1}`,
      ...callersOf(route).right,
    };
    const { status } = await app.request(pathOf(route), { method: route.method, headers, body: "{}" });
    expect(status).toBe(413);
  });
});

const MANY = `[${"[],".repeat(CONTAINERS_MAX)}{}]`;
const withLargeBody = withBody.filter(
  ([, { bodyBytes = LIMITS.bodyBytes }]) => bodyBytes >= MANY.length + CONTAINERS_MAX,
);

test.each(withLargeBody)(
  "%s refuses a body of very many parts, but accepts a text that looks like one",
  async (_, route) => {
    const send = (body: string) => statusOf({ route, path: pathOf(route), body });
    expect(await send(MANY)).toBe(413);
    expect(await send(JSON.stringify({ [`"\\${MANY}`]: `"${MANY}`.slice(0, CONTAINERS_MAX) }))).toBe(400);
  },
);

test("a backend's call about the end of a job has a small body", () => {
  expect(ROUTES.callBack.bodyBytes).toBeLessThanOrEqual(40 * 1024);
});

test("a public route with a body cannot be served without an address check", () => {
  const slice: SliceRoutes = (register) =>
    register("callBack", async () => ({ state: "satisfied" as const }));
  expect(() => openTestApp({ deps, identify: identifyWith(deps), slices: [slice] })).toThrow(
    /no address check/,
  );
});

type Schema = { readonly [key: string]: Json };

const PLANTED = "planted here";
const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null;

const STRINGS: Readonly<Record<string, string>> = { uuid: ID, "date-time": "2026-01-01T00:00:00.000Z" };

/** How to make a sample: which alternative of each union, and within which document. */
interface Sampling {
  readonly root: Schema;
  readonly pick: number;
  readonly depth: number;
}

/** A value that fits a JSON Schema, as far as this function can tell. Where anything fits, an arbitrary text. */
function sample(schema: Json | undefined, args: Sampling): Json {
  if (!isSchema(schema) || Array.isArray(schema) || args.depth > 12) return PLANTED;
  const within = (one: Json | undefined) => sample(one, { ...args, depth: args.depth + 1 });
  const { root, pick } = args;
  const { $ref, const: only, enum: list, type, format, pattern } = schema;
  if (only !== undefined) return only;
  if (Array.isArray(list)) return list[0] ?? null;
  if (typeof $ref === "string" && isSchema(root.$defs)) {
    return within(root.$defs[$ref.replace("#/$defs/", "")]);
  }
  const some = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (Array.isArray(some)) return within(some[pick % some.length]);
  if (type === "object") {
    const { properties = {}, additionalProperties } = schema;
    const own = Object.entries(isSchema(properties) ? properties : {});
    const free = isSchema(additionalProperties) ? [["free", additionalProperties] as const] : [];
    return Object.fromEntries([...own, ...free].map(([key, one]) => [key, within(one)]));
  }
  if (type === "array") return [within(schema.items)];
  if (type === "integer" || type === "number") return Number(schema.minimum ?? 1) || 1;
  if (type === "boolean") return true;
  if (type === "null") return null;
  if (typeof format === "string" && STRINGS[format] !== undefined) return STRINGS[format];
  return typeof pattern === "string" ? "local" : PLANTED.padEnd(Number(schema.minLength ?? 0), ".");
}

function sampleOf(schema: z.ZodType | undefined, pick = 0): Json {
  if (schema === undefined) return {};
  const json = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  // The library guarantees it: its output is JSON.
  return sample(json as Schema, { root: json as Schema, pick, depth: 0 });
}

/** Copies of a document, in each of which one value is replaced. */
function* planted(document: Json, plant: Json): Generator<Json> {
  if (Array.isArray(document)) {
    for (const [index, one] of document.entries())
      for (const inner of planted(one, plant)) yield document.with(index, inner);
  } else if (isSchema(document)) {
    for (const [key, one] of Object.entries(document))
      for (const inner of planted(one, plant)) yield { ...document, [key]: inner };
  }
  yield plant;
}

/** Documents that JSON.stringify cannot write, and their placeholders. */
const UNWRITABLE: Readonly<Record<string, string>> = {
  "huge number here": "1e400",
  "deep JSON here": `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
};
const PLANTS: readonly string[] = [
  "a\0b, and some more",
  "a\ud800, and some more",
  ...Object.keys(UNWRITABLE),
];

function bodyText(document: Json): string {
  return JSON.stringify(document).replace(
    /"(\w+ \w+ here)"/g,
    (whole, name: string) => UNWRITABLE[name] ?? whole,
  );
}

/** Sends a request, and aborts it soon if the route waits for changes. */
async function statusOf(args: {
  route: Route;
  path: string;
  query?: string;
  body?: string;
}): Promise<number> {
  const { route, path, query = "", body } = args;
  const init = { method: route.method, headers: { "content-type": "application/json" } };
  const headers = { ...init.headers, ...callersOf(route).right };
  const signal = AbortSignal.timeout(50);
  const request = new Request(`http://here${path}${query}`, {
    ...init,
    headers,
    signal,
    ...(body !== undefined && { body }),
  });
  const { status, body: answer } = await app.request(request);
  await answer?.cancel();
  return status;
}

const plainBody = (route: Route) =>
  route.body === undefined ? {} : { body: bodyText(sampleOf(route.body)) };

/** The most alternatives of a union in a body that are tried. */
const ALTERNATIVES_MAX = 10;

describe.each(all)("%s never fails with a 500", (_, route) => {
  test.runIf(route.body)("for a body of any kind with invalid ids", async () => {
    const bodies = Array.from({ length: ALTERNATIVES_MAX }, (_, pick) =>
      bodyText(sampleOf(route.body, pick)),
    );
    for (const body of new Set(bodies)) {
      const status = await statusOf({ route, path: pathOf(route), body });
      expect({ status, body: body.slice(0, 300) }).toMatchObject({ status: below(500) });
    }
  });

  test.each(PLANTS)("for %j in its body", async (plant) => {
    if (route.body === undefined) return;
    for (const document of planted(sampleOf(route.body), plant)) {
      const status = await statusOf({ route, path: pathOf(route), body: bodyText(document) });
      expect({ status, document: bodyText(document).slice(0, 300) }).toMatchObject({ status: below(500) });
    }
  });

  test("for hostile texts in its address", async () => {
    const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const queries = Object.keys(route.query?.shape ?? {});
    for (const text of [
      "%00",
      "%ED%A0%80",
      "%ff",
      "1e400",
      "-1",
      "99999999999999999999",
      "x".repeat(5_000),
    ]) {
      for (const name of names) {
        const path = route.path.replace(`{${name}}`, text).replace(/\{\w+\}/g, ID);
        expect(await statusOf({ route, path, ...plainBody(route) })).toBeLessThan(500);
      }
      for (const name of queries) {
        const status = await statusOf({
          route,
          path: pathOf(route),
          query: `?${name}=${text}`,
          ...plainBody(route),
        });
        expect({ status, name, text: text.slice(0, 30) }).toMatchObject({ status: below(500) });
      }
    }
  });

  // Other routes read only the headers that identify the caller.
  test.runIf(route.stream)("for hostile headers", async () => {
    for (const value of ["\u00ff", "x".repeat(5_000)]) {
      const names = ["last-event-id", "cookie", "x-forwarded-for"];
      const headers = { "content-type": "application/json", ...callersOf(route).right };
      for (const name of names) {
        const signal = AbortSignal.timeout(50);
        const init = {
          method: route.method,
          headers: { ...headers, [name]: value },
          signal,
          ...plainBody(route),
        };
        const { status, body } = await app.request(new Request(`http://here${pathOf(route)}`, init));
        await body?.cancel();
        expect({ status, name }).toMatchObject({ status: below(500) });
      }
    }
  });
});

function below(limit: number) {
  return expect.toSatisfy((status: unknown) => typeof status === "number" && status < limit);
}
