import { existsSync } from "node:fs";
import { symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { createClient } from "@towpath/client";
import { describe, expect, test } from "vitest";
import { startProcess } from "../../../../test/harness/index.ts";
import { caught, folderWith } from "../fixture.ts";
import { generateSigningKey, readSigned, type SigningKey } from "../identity/signing-key.ts";
import { deployProject } from "./deploy.ts";
import type { Project } from "./project.ts";

const ID = "0193a0b1-7c00-7000-8000-000000000001";
const MODULES = resolve(import.meta.dirname, "../../../../node_modules");
const AT = "2026-01-01T00:00:00.000Z";
const invocation = { config: { environment: { PATH: process.env.PATH } }, clock: { nowMs: () => 0 } };

const kidOf = (jws: string) =>
  JSON.parse(Buffer.from(jws.split(".")[0] ?? "", "base64url").toString()).kid as string;
const specOf = (jws: string) => JSON.parse(Buffer.from(jws.split(".")[1] ?? "", "base64url").toString());

/** The control plane at the network's edge: keeps what is registered, and may answer another spec than that. */
function controlPlane() {
  const registered: string[] = [];
  const plane = {
    registered,
    answerInstead: null as string | null,
    workers: [{ secrets: [] as string[], registries: ["local"] }],
    answersAboutWorkers: true,
  };
  const deployment = () => {
    const jws = registered.at(-1) ?? "";
    const { code, entry, parameters, version } = specOf(jws);
    const latest = { id: ID, version, keyId: kidOf(jws), code, entry, registeredAt: AT, registeredBy: "me" };
    return { id: ID, name: "train", pool: "local", latest, parameters, dueInput: false, createdAt: AT };
  };
  const me = {
    organization: { id: ID, name: "o" },
    workspace: { id: ID, name: "w" },
    key: { id: ID, name: "k", role: "admin" },
    server: { version: "0", now: AT },
  };
  const pool = {
    id: ID,
    name: "local",
    type: "process",
    createdAt: AT,
    ready: 0,
    running: 0,
    workersOnline: 1,
    workersPaused: 0,
  };
  const worker = {
    id: ID,
    name: "w",
    pool: "local",
    version: "0",
    capacity: 4,
    held: 0,
    online: true,
    draining: false,
    paused: null,
    firstSeenAt: AT,
    lastSeenAt: AT,
    amounts: { cpu: 4 },
    taken: {},
    stores: {},
    holds: [],
  };
  const answer = (status: number, body: unknown) =>
    new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
  const missing = {
    code: "deployment-not-found",
    title: "",
    status: 404,
    detail: "",
    instance: "",
    type: "",
  };
  const fetch = async (address: unknown, init?: { method?: string; body?: unknown }) => {
    const { pathname } = new URL(String(address));
    if (pathname === "/api/me") return answer(200, me);
    if (pathname === "/api/pools/local/workers" && !plane.answersAboutWorkers)
      return answer(403, {
        ...missing,
        status: 403,
        code: "forbidden",
        detail: "Not permitted.",
        retryable: false,
      });
    if (pathname === "/api/pools/local/workers")
      return answer(200, {
        items: plane.workers.map((one, at) => ({ ...worker, ...one, name: `w${at + 1}` })),
        next: null,
      });
    if (pathname === "/api/pools/local") return answer(200, pool);
    if (pathname === "/api/pools") return answer(200, { items: [pool], next: null });
    if (pathname.startsWith("/api/pools/"))
      return answer(404, { ...missing, code: "pool-not-found", retryable: false });
    if (pathname.endsWith("/pinned")) return answer(200, { oldest: null, runs: 0, runId: null });
    if (pathname.endsWith("/spec")) {
      const version = Number(pathname.split("/").at(-2));
      return answer(200, { spec: plane.answerInstead ?? registered[version - 1] });
    }
    if (init?.method === "POST") registered.push(JSON.parse(String(init.body)).spec);
    return registered.length === 0
      ? answer(404, { ...missing, retryable: false })
      : answer(init?.method === "POST" ? 201 : 200, deployment());
  };
  return Object.assign(plane, {
    fetch,
    client: createClient({ url: "http://plane", fetch: fetch as never }),
  });
}

async function projectIn(root: string): Promise<Project> {
  return {
    root,
    name: "demo",
    files: undefined,
    stores: [],
    stageNames: [],
    environment: null,
    packages: null,
    configFile: "towpath.config.ts",
    python: [],
    stage: null,
    registry: { kind: "oci-layout", name: "local", path: `${root}-registry` },
    deployments: [
      {
        entry: { kind: "command", argv: ["python3", "train.py"] },
        settings: { deployment: "train", floor: 1, expiresAt: null, pools: ["local"], parameters: {} },
      },
    ],
  };
}

describe("a deploy is compared with the registered version", () => {
  async function deployer(key: SigningKey) {
    const folder = await folderWith({ "train.py": "print(1)" });
    const project = await projectIn(folder.root);
    const plane = controlPlane();
    const carry = async (plan: boolean, with_: SigningKey, more: Partial<Project>) => {
      const request = {
        project: { ...project, ...more },
        names: [],
        ledger: null,
        client: plane.client,
        plan,
      };
      const { outcomes } = await deployProject(invocation, { ...request, key: with_ });
      return outcomes[0];
    };
    const deploy = (with_: SigningKey = key, more: Partial<Project> = {}) => carry(false, with_, more);
    const plan = (more: Partial<Project> = {}) => carry(true, key, more);
    return { plane, deploy, plan, project, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
  }

  test("an unchanged deployment is recognised from any folder or machine that has the key", async () => {
    const key = await generateSigningKey();
    await using here = await deployer(key);
    expect(await here.deploy()).toMatchObject({ status: "registered", version: 1, changed: null });
    expect(await here.deploy()).toMatchObject({ status: "unchanged", version: 1, changed: [] });
    expect(here.plane.registered).toHaveLength(1);
  });

  test("a change is named by its fields", async () => {
    const key = await generateSigningKey();
    await using here = await deployer(key);
    await here.deploy();
    const [deployment] = here.project.deployments;
    if (deployment === undefined) throw new Error("no deployment");
    const deployments = [{ ...deployment, settings: { ...deployment.settings, timeoutMs: 5 } }];
    expect(await here.deploy(key, { deployments })).toMatchObject({
      status: "registered",
      version: 2,
      changed: ["timeoutMs"],
    });
  });

  test("a plan lists the versions of a deploy, and neither registers nor pushes anything", async () => {
    await using here = await deployer(await generateSigningKey());
    const { registry } = here.project;
    if (registry.kind !== "oci-layout") throw new Error("no layout");
    expect(await here.plan()).toMatchObject({ status: "planned", version: 1, changed: null });
    expect(existsSync(registry.path)).toBe(false);
    expect(here.plane.registered).toEqual([]);
    await here.deploy();
    expect(await here.plan()).toMatchObject({ status: "unchanged", version: 1, changed: [] });
    const [deployment] = here.project.deployments;
    if (deployment === undefined) throw new Error("no deployment");
    const deployments = [{ ...deployment, settings: { ...deployment.settings, timeoutMs: 5 } }];
    const planned = await here.plan({ deployments });
    expect(planned).toMatchObject({ status: "planned", version: 2, changed: ["timeoutMs"] });
    expect(here.plane.registered).toHaveLength(1);
    expect(await here.deploy(undefined, { deployments })).toEqual({ ...planned, status: "registered" });
  });

  test("nothing is registered when a pool of one deployment is unknown", async () => {
    await using here = await deployer(await generateSigningKey());
    const [first] = here.project.deployments;
    if (first === undefined) throw new Error("no deployment");
    const second = { ...first, settings: { ...first.settings, deployment: "other", pools: ["locl"] } };
    const failure = await caught(here.deploy(undefined, { deployments: [first, second] }));
    expect(failure).toMatchObject({
      code: "pool-not-found",
      message: 'The pool "locl" of "other" does not exist.',
      next: expect.arrayContaining(['did you mean "local"?']),
    });
    expect(here.plane.registered).toEqual([]);
  });

  test("a spec that another key signed is signed again", async () => {
    await using here = await deployer(await generateSigningKey());
    await here.deploy();
    const outcome = await here.deploy(await generateSigningKey());
    expect(outcome).toMatchObject({ status: "registered", version: 2, changed: null });
  });

  test("a registered spec is trusted only by its signature, and only for the version that it contains", async () => {
    const key = await generateSigningKey();
    await using here = await deployer(key);
    await here.deploy();
    const [genuine = ""] = here.plane.registered;
    const [head, body, signature] = genuine.split(".");
    const forged = Buffer.from(JSON.stringify({ ...specOf(genuine), pools: ["theirs"] })).toString(
      "base64url",
    );
    here.plane.answerInstead = [head, forged, signature].join(".");
    expect(await here.deploy()).toMatchObject({ status: "registered", version: 2, changed: null });
    here.plane.answerInstead = [head, body, signature].join(".");
    expect(await here.deploy()).toMatchObject({ status: "registered", version: 3, changed: null });
  });
});

test("a deployment that no worker of its pool can hold gets a warning", async () => {
  await using folder = await folderWith({ "train.py": "print(1)" });
  const project = await projectIn(folder.root);
  const [one] = project.deployments;
  if (one === undefined) throw new Error("no deployment");
  const warnings = async (compute: { cpu: number }) => {
    const deployments = [{ ...one, settings: { ...one.settings, compute } }];
    const { client } = controlPlane();
    const key = await generateSigningKey();
    const request = {
      project: { ...project, deployments },
      names: [],
      ledger: null,
      client,
      plan: false,
      key,
    };
    return (await deployProject(invocation, request)).warnings;
  };
  expect(await warnings({ cpu: 4 })).toEqual([]);
  expect(await warnings({ cpu: 8 })).toEqual([
    '"train" needs 8 CPUs; the workers of pool "local" have at most 4. Its runs wait until a larger worker is online.',
  ]);
});

test("a failed look at workers after the registration is a warning, because the versions are registered", async () => {
  await using folder = await folderWith({ "train.py": "print(1)" });
  const project = await projectIn(folder.root);
  const plane = controlPlane();
  plane.answersAboutWorkers = false;
  const key = await generateSigningKey();
  const report = await deployProject(invocation, {
    project,
    names: [],
    ledger: null,
    client: plane.client,
    plan: false,
    key,
  });
  expect(report.outcomes).toMatchObject([{ status: "registered", version: 1 }]);
  expect(plane.registered).toHaveLength(1);
  expect(report.warnings).toEqual([
    "Whether workers can run these deployments could not be checked: The key does not permit this action: Not permitted. Run `towpath doctor`.",
  ]);
});

const REMOTE_FLOW = `
import { flow, task } from "towpath";
const fit = task({ name: "deploy-test-fit", compute: { cpu: 64 } }, async () => 1);
const score = task({ name: "deploy-test-score", compute: { cpu: 2 } }, async () => 1);
export const trains = flow({ name: "trains" }, async () => {
  await fit.with({ pool: "local" })();
  await score.with({ pool: "local" })();
});
`;

test("a task in another pool that no worker there can hold gets a warning with its name", async () => {
  await using folder = await folderWith({ "flow.ts": REMOTE_FLOW, "package.json": '{ "type": "module" }' });
  await symlink(MODULES, join(folder.root, "node_modules"));
  // As a project that is loaded does: what tasks need is declared by running their modules.
  await import(pathToFileURL(join(folder.root, "flow.ts")).href);
  const project = await projectIn(folder.root);
  const [one] = project.deployments;
  if (one === undefined) throw new Error("no deployment");
  const entry = { kind: "flow", module: "flow.ts", export: "trains" } as const;
  const { client } = controlPlane();
  const key = await generateSigningKey();
  const deployments = [{ ...one, entry }];
  const request = { project: { ...project, deployments }, names: [], ledger: null, client, plan: false, key };
  expect((await deployProject(invocation, request)).warnings).toEqual([
    '"train: deploy-test-fit" needs 64 CPUs; the workers of pool "local" have at most 4. Its runs wait until a larger worker is online.',
  ]);
});

test("text that is not a signed spec is ignored", async () => {
  const key = await generateSigningKey();
  for (const text of ["a.b.c", "", "e30.e30.e30"]) expect(await readSigned(text, key)).toBeNull();
});

const MAIN = resolve(import.meta.dirname, "../main.ts");

/** The control plane for processes. */
async function servePlane() {
  const plane = controlPlane();
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const { method = "GET", url = "/" } = request;
    const answer = await plane.fetch(`http://plane${url}`, { method, body });
    response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    plane,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const configFor = (more: string) =>
  `import { defineConfig, deployment, ociLayout } from "towpath/config";
  export default defineConfig({ project: "demo", pool: "local", registry: ociLayout(".towpath/registry"),
    deployments: [deployment({ name: "train", command: ["python3", "train.py"], ${more} })] });`;

test("towpath deploy --plan lists new, unchanged and changed deployments, and registers nothing", async () => {
  await using server = await servePlane();
  await using folder = await folderWith({
    "train.py": "print(1)",
    ".towpath/keys/signing.jwk": JSON.stringify(await generateSigningKey()),
    "towpath.config.ts": configFor(""),
  });
  const deploy = async (...args: string[]) => {
    const child = startProcess({
      command: process.execPath,
      cwd: folder.root,
      args: [MAIN, "deploy", ...args, "--url", server.url, "--key", "twp_api_x"],
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
        XDG_CONFIG_HOME: folder.root,
      },
    });
    return { code: await child.exited, output: child.output() };
  };
  const first = await deploy("--plan");
  expect(first).toMatchObject({
    code: 0,
    output: expect.stringMatching(/train +1 +would register .* new$/m),
  });
  expect(first.output).toContain("towpath deploy");
  expect(server.plane.registered).toEqual([]);
  await deploy();
  const same = await deploy("--plan");
  expect(same.output).toMatch(/train +1 +unchanged/);
  expect(same.output).toContain("Nothing would change.");
  await writeFile(join(folder.root, "towpath.config.ts"), configFor("timeoutMs: 5"));
  expect((await deploy("--plan")).output).toMatch(/train +2 +would register .*timeoutMs/);
  expect(server.plane.registered).toHaveLength(1);
});
