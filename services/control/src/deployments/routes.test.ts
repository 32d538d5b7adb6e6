import {
  Deployment,
  DeploymentVersion,
  ProblemBody,
  page,
  type SpecInput,
  VersionDetail,
} from "@towpath/contract";
import type { Hono } from "hono";
import { CompactSign } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { identifyWith } from "../identity/index.ts";
import { SLICES } from "../slices.ts";
import { sign, specOf } from "../spec.fixture.ts";
import { bearer, createTenant } from "../tenant.fixture.ts";
import { getLatestVersion, getVersion } from "./deployments.ts";

const ELSEWHERE = "0199a000-0000-7000-8000-000000000001";

let database: TestDatabase;
let deps: TestDeps;
let app: Hono;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url });
  app = openTestApp({ deps, identify: identifyWith(deps), slices: SLICES });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

const problemIn = async (response: Response) => ProblemBody.parse(await response.json());

async function open() {
  const tenant = await createTenant(deps);
  const { workspaceId } = tenant;
  const headers = bearer((await tenant.key("developer")).secret);
  const post = (path: string, body: unknown) =>
    app.request(path, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    });
  for (const name of ["local", "big"]) await post("/api/pools", { name });
  return {
    workspaceId,
    headers,
    get: (path: string) => app.request(path, { headers }),
    post: (jws: string) => post("/api/deployments", { spec: jws }),
    async register(more: Partial<SpecInput> = {}) {
      return post("/api/deployments", { spec: await sign(specOf(workspaceId, more)) });
    },
  };
}

describe("201", () => {
  test("a signed spec becomes a version, kept byte for byte", async () => {
    const { workspaceId, post } = await open();
    const jws = await sign(specOf(workspaceId, { pools: ["big", "local"] }));
    const response = await post(jws);
    expect(response.status).toBe(201);
    const answer = Deployment.parse(await response.json());
    expect(answer).toMatchObject({
      name: "penguins",
      pool: "big",
      latest: { version: 1, keyId: "test-key", registeredBy: "developer", entry: { kind: "flow" } },
    });
    const pinned = await getLatestVersion(deps.database.db, { workspaceId, name: "penguins" });
    expect(pinned.specJws).toBe(jws);
    expect(pinned.spec.retry.limit).toBe(0);
    expect(await getVersion(deps.database.db, { workspaceId, versionId: pinned.versionId })).toEqual(pinned);
  });

  test("parameters keep the order of their schema, in the deployment and in each of its versions", async () => {
    const { register, get } = await open();
    const properties = { zeta: { type: "string" }, alpha: { type: "string" }, mid: { type: "string" } };
    await register({ parameters: { type: "object", properties } });
    const named = Deployment.parse(await (await get("/api/deployments/penguins")).json());
    const detail = VersionDetail.parse(await (await get("/api/deployments/penguins/versions/1")).json());
    for (const schema of [named.parameters, detail.spec.parameters])
      expect(JSON.stringify(schema)).toBe(JSON.stringify({ type: "object", properties }));
  });

  test("the signed spec is returned byte for byte to callers of its workspace who may deploy", async () => {
    const { workspaceId, post, get, register } = await open();
    const jws = await sign(specOf(workspaceId));
    await post(jws);
    await register({ version: 2 });
    const answer = await get("/api/deployments/penguins/versions/1/spec");
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ spec: jws });
    const other = await open();
    await other.register();
    const strangers = await (await other.get("/api/deployments/penguins/versions/1/spec")).json();
    expect(strangers).not.toEqual({ spec: jws });
    expect((await other.get("/api/deployments/penguins/versions/2/spec")).status).toBe(404);
    for (const version of ["0", "3", "x", "2147483648"])
      expect([404, 400]).toContain((await get(`/api/deployments/penguins/versions/${version}/spec`)).status);
  });

  test("registering the same signed spec again returns the same version, also after newer versions", async () => {
    const { workspaceId, post, register, get } = await open();
    const jws = await sign(specOf(workspaceId));
    const first = Deployment.parse(await (await post(jws)).json());
    expect(Deployment.parse(await (await post(jws)).json())).toEqual(first);
    await register({ version: 2 });
    const again = await post(jws);
    expect(again.status).toBe(201);
    expect(Deployment.parse(await again.json()).latest.version).toBe(2);
    const versions = await get("/api/deployments/penguins/versions");
    expect(page(DeploymentVersion).parse(await versions.json()).items).toHaveLength(2);
  });

  test("of several concurrent next versions one is registered; the others get `version-conflict`", async () => {
    const { register, get } = await open();
    const issued = (n: number) => ({ issuedAt: `2026-01-01T00:00:0${n}.000Z` });
    const answers = await Promise.all([0, 1, 2, 3, 4, 5].map((n) => register(issued(n))));
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
    const versions = await get("/api/deployments/penguins/versions");
    expect(page(DeploymentVersion).parse(await versions.json()).items).toHaveLength(1);
  });
});

describe("200", () => {
  test("deployments are listed by name and versions newest first, page by page", async () => {
    const { register, get } = await open();
    for (const deployment of ["c", "a", "b"]) await register({ deployment });
    for (const version of [2, 3]) await register({ deployment: "a", version });
    const first = page(Deployment).parse(await (await get("/api/deployments?limit=2")).json());
    expect(first.items.map(({ name, latest }) => [name, latest.version])).toEqual([
      ["a", 3],
      ["b", 1],
    ]);
    const rest = await get(`/api/deployments?limit=2&cursor=${first.next}`);
    expect(page(Deployment).parse(await rest.json())).toMatchObject({ items: [{ name: "c" }], next: null });
    const read = page(DeploymentVersion).parse(
      await (await get("/api/deployments/a/versions?limit=2")).json(),
    );
    expect(read.items.map(({ version }) => version)).toEqual([3, 2]);
    const older = await get(`/api/deployments/a/versions?limit=2&cursor=${read.next}`);
    expect(page(DeploymentVersion).parse(await older.json())).toMatchObject({
      items: [{ version: 1 }],
      next: null,
    });
  });
});

describe("404", () => {
  test("a mistyped name gets a suggestion", async () => {
    const { register, get } = await open();
    await register();
    const problem = await problemIn(await get("/api/deployments/pengiuns"));
    expect(problem).toMatchObject({ code: "deployment-not-found" });
    expect(problem.faults?.[0]?.suggestion).toBe('did you mean "penguins"?');
  });

  test("a deployment of another workspace is not found, and no suggestion reveals it", async () => {
    const [mine, theirs] = [await open(), await open()];
    await theirs.register();
    const problem = await problemIn(await mine.get("/api/deployments/penguins"));
    expect(problem.code).toBe("deployment-not-found");
    expect(problem.detail).not.toContain("did you mean");
  });

  test("a missing pool is named by its path in the spec", async () => {
    const { register } = await open();
    const problem = await problemIn(await register({ pools: ["local", "bag"] }));
    expect(problem).toMatchObject({ code: "pool-not-found", faults: [{ path: "pools.1" }] });
    expect(problem.detail).toContain('"big"');
  });
});

describe("409", () => {
  test("a version out of order gets the number of the next one", async () => {
    const { register } = await open();
    expect((await problemIn(await register({ version: 1002 }))).detail).toContain("is more than 1000 above");
    await register();
    const problem = await problemIn(await register({ issuedAt: "2026-02-02T00:00:00.000Z" }));
    expect(problem).toMatchObject({ code: "version-conflict", retryable: true });
    expect(problem.detail).toContain("is 2, not 1");
  });
});

describe("a version", () => {
  const detail = async (response: Response) => VersionDetail.parse(await response.json());
  const of = "/api/deployments/penguins/versions";

  test("a version is shown with its spec and the changes since the one before it, or since a named one", async () => {
    const { register, get } = await open();
    await register({ env: { URL: "hunter2" } });
    await register({ version: 2, timeoutMs: 1_000, env: { URL: "hunter2" } });
    await register({ version: 3, timeoutMs: 1_000, priority: 5 });
    const first = await detail(await get(`${of}/1`));
    expect(first).toMatchObject({ since: null, changes: [], spec: { deployment: "penguins" } });
    const third = await get(`${of}/3`);
    expect((await detail(third.clone())).changes.map(({ field }) => field).sort()).toEqual([
      "env.URL",
      "priority",
    ]);
    const whole = await detail(await get(`${of}/3?since=1`));
    expect(whole.changes.map(({ field }) => field).sort()).toEqual(["env.URL", "priority", "timeoutMs"]);
    expect(await (await get(`${of}/2`)).text()).not.toContain("hunter2");
  });

  test("404: a version that does not exist, a version to compare with that does not exist, another workspace's version", async () => {
    const { register, get } = await open();
    await register();
    const other = await open();
    const asked = [get(`${of}/2`), get(`${of}/1?since=7`), other.get(`${of}/1`)];
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([404, 404, 404]);
  });
});

describe("422", () => {
  const broken: [string, Partial<Record<keyof SpecInput, unknown>>][] = [
    ["workspaceId", { workspaceId: ELSEWHERE }],
    ["floor", { floor: 2 }],
    ["expiresAt", { expiresAt: "2020-01-01T00:00:00.000Z" }],
    ["code.digest", { code: { kind: "git", registry: "code", digest: "main" } }],
    ["entry.module", { entry: { kind: "flow", module: "../../etc/passwd", export: "x" } }],
    ["pools", { pools: ["local", "local"] }],
    ["retry.causes.1", { retry: { limit: 1, causes: ["lost", "user"] } }],
    ["retry.causes.0", { retry: { limit: 1, causes: ["expired"] } }],
    ["retry.causes.0", { retry: { limit: 1, causes: ["run-timeout"] } }],
    ["env", { env: { A: "a\0b" } }],
    ["parameters.properties.island.type", { parameters: { properties: { island: { type: "strng" } } } }],
    ["parameters.properties.x.pattern", { parameters: { properties: { x: { pattern: "(" } } } }],
    ["parameters.$ref", { parameters: { $ref: "#/$defs/nowhere" } }],
    [
      "parameters.properties.x.$ref",
      { parameters: { properties: { x: { $ref: "https://evil.example/s" } } } },
    ],
    ["parameters.required", { parameters: { required: "island" } }],
  ];
  test.each(broken)("a spec with a wrong %s is refused, naming that field", async (path, more) => {
    const { workspaceId, post } = await open();
    const problem = await problemIn(await post(await sign({ ...specOf(workspaceId), ...more })));
    expect(problem).toMatchObject({ status: 422, code: "invalid-spec" });
    expect(problem.faults?.map((fault) => fault.path).join()).toContain(path);
  });

  test("an unknown field is refused with a suggestion, and no value is repeated", async () => {
    const { workspaceId, post } = await open();
    const payload = { ...specOf(workspaceId), timeoutMS: "hunter2" };
    const response = await post(await sign(payload));
    expect(await response.clone().text()).not.toContain("hunter2");
    const { faults } = await problemIn(response);
    expect(faults).toMatchObject([{ path: "timeoutMS", suggestion: 'did you mean "timeoutMs"?' }]);
  });

  test("another type of token is not a spec", async () => {
    const { workspaceId, post } = await open();
    const problem = await problemIn(await post(await sign(specOf(workspaceId), { typ: "JWT" })));
    expect(problem.faults?.[0]?.path).toBe("header.typ");
  });

  test("another algorithm than EdDSA is refused", async () => {
    const { workspaceId, post } = await open();
    const jws = await new CompactSign(new TextEncoder().encode(JSON.stringify(specOf(workspaceId))))
      .setProtectedHeader({ alg: "HS256", typ: "towpath-spec+jws", kid: "k" })
      .sign(new Uint8Array(32));
    expect((await problemIn(await post(jws))).faults?.[0]?.path).toBe("header.alg");
  });

  test.each(["a.b.c", "e30.e30.e30", "W10.bm8.x"])("%s is not a signed spec", async (jws) => {
    const { post } = await open();
    expect((await problemIn(await post(jws))).code).toBe("invalid-spec");
  });
});
