import type { SpecInput } from "@towpath/contract";
import { Deployment, Limit, ProblemBody, page, Run, RunSummary, Schedule, uuidv7 } from "@towpath/contract";
import type { Hono } from "hono";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { z } from "zod";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { identifyWith } from "../identity/index.ts";
import { SLICES } from "../slices.ts";
import { sign, specOf } from "../spec.fixture.ts";
import { bearer, createTenant } from "../tenant.fixture.ts";

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

async function open() {
  const tenant = await createTenant(deps);
  const { workspaceId } = tenant;
  const headers = {
    "content-type": "application/json",
    ...bearer((await tenant.key("developer")).secret),
  };
  const send = (method: string, path: string, body?: unknown) =>
    app.request(path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
  await send("POST", "/api/pools", { name: "local" });
  return {
    send,
    get: async <Schema extends z.ZodType>(path: string, schema: Schema) =>
      schema.parse(await (await send("GET", path)).json()),
    register: async (stage: string | null, more: Partial<SpecInput> = {}) =>
      send("POST", "/api/deployments", {
        spec: await sign(specOf(workspaceId, { deployment: "churn", stage, ...more })),
      }),
    run: (deployment: string) =>
      send("POST", "/api/runs", { id: uuidv7(deps.clock.nowMs()), deployment, parameters: {} }),
  };
}

const NIGHTLY: SpecInput["schedules"] = [
  { name: "nightly", timing: { kind: "cron", cron: "0 3 * * *", zone: "UTC" } },
];

test("deployments of different stages have versions, schedules, limits and runs of their own", async () => {
  const { send, get, register, run } = await open();
  for (const stage of ["prod", "test", "dev"])
    expect(
      (await register(stage, { schedules: NIGHTLY, concurrency: { limit: 1, collision: "enqueue" } })).status,
    ).toBe(201);
  const second = await register("test", { version: 2 });
  expect(Deployment.parse(await second.json())).toMatchObject({ name: "churn@test", latest: { version: 2 } });
  const listed = await get("/api/deployments?deployment=churn", page(Deployment));
  expect(listed.items.map(({ name, latest }) => [name, latest.version])).toEqual([
    ["churn@dev", 1],
    ["churn@prod", 1],
    ["churn@test", 2],
  ]);

  expect((await send("POST", "/api/deployments/churn@prod/schedules/nightly/pause")).status).toBe(200);
  const schedules = await get("/api/schedules", page(Schedule));
  expect(schedules.items.map(({ deployment, paused }) => [deployment, paused])).toEqual([
    ["churn@dev", false],
    ["churn@prod", true],
  ]);
  const ofProd = await get("/api/schedules?stage=prod", page(Schedule));
  expect(ofProd.items.map(({ deployment }) => deployment)).toEqual(["churn@prod"]);

  await send("POST", "/api/limits", { kind: "deployment", name: "churn@prod", slots: 7 });
  const limits = await get("/api/limits?kind=deployment", page(Limit));
  expect(limits.items.map(({ name, slots }) => [name, slots])).toEqual([
    ["churn@dev", 1],
    ["churn@prod", 7],
  ]);

  const states = [];
  for (const name of ["churn@dev", "churn@prod", "churn@dev", "churn@test"]) {
    const answer = await run(name);
    expect(answer.status).toBe(201);
    states.push(Run.parse(await answer.json()).state);
  }
  expect(states).toEqual(["ready", "ready", "blocked", "ready"]);
  const names = async (query: string) =>
    (await get(`/api/runs?${query}`, page(RunSummary))).items.map(({ deployment }) => deployment);
  expect(await names("stage=dev")).toEqual(["churn@dev", "churn@dev"]);
  expect(await names("deployment=churn@test")).toEqual(["churn@test"]);
  expect(await names("stage=dev&text=churn@prod")).toEqual([]);
  expect(await names("stage=none")).toEqual([]);
});

test("a deployment without a stage stays one of its own beside those of stages", async () => {
  const { get, register, run } = await open();
  expect((await register(null)).status).toBe(201);
  expect((await register("prod")).status).toBe(201);
  const listed = await get("/api/deployments", page(Deployment));
  expect(listed.items.map(({ name, latest }) => [name, latest.version])).toEqual([
    ["churn", 1],
    ["churn@prod", 1],
  ]);
  const missing = await run("churn@test");
  expect(ProblemBody.parse(await missing.json())).toMatchObject({ code: "deployment-not-found" });
});

test("the signed payload alone decides the stage: a name with @ in it is not accepted as a deployment", async () => {
  const { register } = await open();
  const refused = await register(null, { deployment: "churn@prod" });
  expect(ProblemBody.parse(await refused.json())).toMatchObject({
    code: "invalid-spec",
    faults: [{ path: "deployment" }],
  });
});

test("only the limit of a deployment has a stage", async () => {
  const { send } = await open();
  const refused = await send("POST", "/api/limits", { kind: "named", name: "warehouse@prod", slots: 1 });
  expect(ProblemBody.parse(await refused.json())).toMatchObject({
    code: "bad-request",
    faults: [{ path: "name" }],
  });
});
