import { symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createClient } from "@towpath/client";
import { expect, test } from "vitest";
import { caught, folderWith } from "../fixture.ts";
import { buildCode } from "./code.ts";
import { loadProject } from "./load-project.ts";
import { checkTaskLimits, findLacks } from "./readiness.ts";

const ID = "0193a0b1-7c00-7000-8000-000000000001";
const AT = "2026-01-01T00:00:00.000Z";
const MODULES = resolve(import.meta.dirname, "../../../../node_modules");

interface FakeWorker {
  readonly secrets?: string[] | null;
  readonly registries?: string[] | null;
  readonly online?: boolean;
}

/** The control plane at the network's edge: the workers of each pool, and the names of limits. */
function planeWith(pools: Readonly<Record<string, readonly FakeWorker[]>>, limits: readonly string[] = []) {
  const workerIn = (pool: string) => (one: FakeWorker, at: number) => ({
    id: ID,
    name: `w${at + 1}`,
    pool,
    version: "0",
    capacity: 4,
    held: 0,
    holds: [],
    amounts: {},
    taken: {},
    online: one.online ?? true,
    draining: false,
    paused: null,
    stores: {},
    secrets: one.secrets === undefined ? [] : one.secrets,
    registries: one.registries === undefined ? ["local"] : one.registries,
    firstSeenAt: AT,
    lastSeenAt: AT,
  });
  const limitNamed = (name: string) => ({
    id: ID,
    kind: "named",
    name,
    slots: 1,
    perMs: null,
    collision: "enqueue",
    source: "person",
    taken: 0,
    waiting: 0,
    holders: [],
    line: [],
    createdAt: AT,
    updatedAt: AT,
  });
  const fetch = async (address: unknown) => {
    const { pathname } = new URL(String(address));
    const pool = /^\/api\/pools\/(.+)\/workers$/.exec(pathname)?.[1];
    const items = pool === undefined ? limits.map(limitNamed) : (pools[pool] ?? []).map(workerIn(pool));
    return new Response(JSON.stringify({ items, next: null }), {
      headers: { "content-type": "application/json" },
    });
  };
  return createClient({ url: "http://plane", fetch: fetch as never });
}

const FLOW = `
import { flow, fromSecret, resource, secret, task } from "towpath";
import * as sdk from "towpath";
export const warehouse = resource({
  name: "readiness-warehouse",
  settings: { url: "dev", password: fromSecret("dev-password") },
  open: (settings) => settings,
});
const load = task({ name: "readiness-load", limits: ["warehouse-slots"] }, async () => secret("api-token"));
const more = task({ name: "readiness-more" }, async () => sdk.secret("other-token"));
export const churn = flow({ name: "churn" }, async () => {
  await load();
  await more();
});
`;
const CONFIG = `
import { defineConfig, deployment, fromSecret, ociLayout } from "towpath/config";
import { churn, warehouse } from "./flow.ts";
export default defineConfig({
  project: "demo",
  pool: "local",
  registry: ociLayout("registry"),
  deployments: [deployment(churn, { secrets: ["api-token", "unused"] })],
  stages: {
    prod: { pool: "prod", resources: [warehouse.settings({ password: fromSecret("prod-password") })] },
  },
});
`;

async function projectFolder(more: Readonly<Record<string, string>> = {}) {
  const files = {
    "flow.ts": FLOW,
    "towpath.config.ts": CONFIG,
    "package.json": '{ "type": "module" }',
    ...more,
  };
  const folder = await folderWith(files);
  await symlink(MODULES, join(folder.root, "node_modules"));
  return folder;
}

async function loaded(root: string, stage?: string) {
  const project = await loadProject(root, { folder: { root: join(root, ".towpath") } as never, stage });
  const code = await buildCode(project, { PATH: process.env.PATH });
  return { project, code };
}

interface Looked {
  readonly client: ReturnType<typeof planeWith>;
  readonly stage?: string;
  readonly isDev?: boolean;
}

async function allLacksOf(root: string, { client, isDev = false, ...args }: Looked) {
  const { project, code } = await loaded(root, args.stage);
  const { deployments, stage, registry } = project;
  return await findLacks(client, {
    deployments,
    ground: { stage, registry, code, configFile: "towpath.config.ts", isDev },
  });
}

async function lacksOf(root: string, args: Looked) {
  return (await allLacksOf(root, args)).map(({ what }) => what);
}

test("under `towpath dev`, a missing secret is advised with a variable, because its worker has no other source", async () => {
  await using folder = await projectFolder();
  const client = planeWith({ local: [{ secrets: [] }] });
  const next = async (isDev: boolean) =>
    (await allLacksOf(folder.root, { client, isDev })).find(({ what }) => what.includes("has no value"))
      ?.next;
  expect(await next(true)).toBe(
    "Stop `towpath dev`, set the variable TOWPATH_SECRET_API_TOKEN, and start it again.",
  );
  expect(await next(false)).toContain("in the worker's configuration");
});

test("secrets that the code or a resource uses and the deployment does not list are named, for each stage", async () => {
  await using folder = await projectFolder();
  const client = planeWith({
    local: [{ secrets: ["api-token", "TOWPATH_SECRET_UNUSED"] }],
    prod: [{ secrets: null, registries: null }],
  });
  expect(await lacksOf(folder.root, { client })).toEqual([
    '"churn" uses the secret "other-token" (flow.ts) but does not list it. Runs that read it fail.',
    '"churn" uses the secret "dev-password" (resource "readiness-warehouse") but does not list it. Runs that read it fail.',
  ]);
  // A worker of an earlier release does not report its secrets, so the check does not mention it.
  expect(await lacksOf(folder.root, { client, stage: "prod" })).toEqual([
    '"churn@prod" uses the secret "other-token" (flow.ts) but does not list it. Runs that read it fail.',
    '"churn@prod" uses the secret "prod-password" (resource "readiness-warehouse") but does not list it. Runs that read it fail.',
  ]);
});

test("a secret that one deployment of a module lists is not missed in the others of this module", async () => {
  const both = 'deployment(churn, { name: "other", secrets: ["other-token"] }), deployment(churn,';
  await using folder = await projectFolder({
    "towpath.config.ts": CONFIG.replace("deployment(churn,", both),
  });
  const client = planeWith({ local: [{ secrets: null }], prod: [] });
  expect(await lacksOf(folder.root, { client })).toEqual(
    ["other", "churn"].map(
      (name) =>
        `"${name}" uses the secret "dev-password" (resource "readiness-warehouse") but does not list it. Runs that read it fail.`,
    ),
  );
});

test("a worker without the secret or the code registry, and a pool without workers, are named", async () => {
  await using folder = await projectFolder();
  const both = { secrets: ["api-token", "unused"] };
  const some = planeWith({ local: [both, { secrets: ["unused"] }, { ...both, registries: ["other"] }] });
  expect(await lacksOf(folder.root, { client: some })).toEqual(
    expect.arrayContaining([
      'The secret "api-token" of "churn" has no value on the worker "w2" of pool "local". Runs go to the other workers of the pool.',
      'The code registry "local" of "churn" is not configured on the worker "w3" of pool "local". Runs fail there.',
    ]),
  );
  const none = planeWith({ local: [{ online: false }] });
  expect(await lacksOf(folder.root, { client: none })).toContain(
    'The pool "local" of "churn" has no worker online, so its runs wait.',
  );
});

test("a task's limit that does not exist is refused, with the closest name", async () => {
  await using folder = await projectFolder();
  const { project, code } = await loaded(folder.root);
  const check = (limits: readonly string[]) =>
    checkTaskLimits(planeWith({}, limits), {
      deployments: project.deployments,
      tasks: code.tasks,
      python: project.python,
    });
  await check(["warehouse-slots"]);
  expect(await caught(check(["warehouse-slot"]))).toMatchObject({
    code: "limit-not-found",
    message: 'The limit "warehouse-slots" of the task "readiness-load" in "churn" does not exist.',
    next: expect.arrayContaining(['did you mean "warehouse-slot"?', "nothing was registered"]),
  });
});
