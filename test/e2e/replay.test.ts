import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { deployProject } from "./fixture.ts";

const CONFIG = (echo: string, options = "") => `
import { defineConfig, deployment, ociLayout } from "towpath/config";
export default defineConfig({
  project: "replay",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment({ name: "echo", command: ["sh", "-c", ${JSON.stringify(echo)}] ${options} })],
});
`;
const LEDGER = "towpath.ledger.jsonl";

let stack: Stack;
let home: string;
let work: string;

beforeAll(async () => {
  stack = await startStack();
  work = await mkdtemp(join(stack.folder, "work-"));
  home = await deployProject(stack, { "towpath.config.ts": CONFIG(`echo 1 >> ${work}/ledger`) });
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function redeploy(script: string, ...flags: string[]) {
  const registry = JSON.stringify(join(stack.folder, "registry"));
  await writeFile(join(home, "towpath.config.ts"), CONFIG(script).replace("REGISTRY", registry));
  return await stack.towpath(["deploy", "--project", home, ...flags]);
}

const executed = async () =>
  (await readFile(join(work, "ledger"), "utf8").catch(() => "")).trim().split("\n");
const lines = async () => (await readFile(join(home, LEDGER), "utf8")).trim().split("\n");

/** Runs the deployment on a worker with a new state folder. */
async function runOn(name: string, settings: object = {}) {
  await using worker = await stack.startWorker({ name, settings });
  const run = await stack.waitForRun(await stack.run("echo"));
  worker.kill("SIGTERM");
  await worker.exited;
  return run;
}

/** What a hostile control plane does: serves an old signed spec for the latest version. */
async function serving<T>(version: number, args: { as: number }, work: () => Promise<T>): Promise<T> {
  const sql = postgres(stack.databaseUrl, { max: 1 });
  try {
    await sql`update deployment set latest_version = ${version}`;
    return await work();
  } finally {
    await sql`update deployment set latest_version = ${args.as}`;
    await sql.end();
  }
}

test("A deploy takes its number from the ledger in the project, and prints the ledger's head", async () => {
  expect(await lines()).toHaveLength(1);
  const one = await stack.towpath(["ledger", "verify", "--project", home]);
  expect(one.output).toContain("1 line, the chain is whole");
  const early = await stack.run("echo");
  await stack.client.cancelRun({ params: { runId: early }, body: {} });
  const second = await redeploy(`echo 2 >> ${work}/ledger`);
  expect(second.code, second.output).toBe(0);
  expect(second.output).toMatch(/ledger: towpath\.ledger\.jsonl, head [0-9a-f]{12}/);
  const [, line = ""] = await lines();
  expect(JSON.parse(line)).toMatchObject({ deployment: "echo", version: 2, floor: 2, floorBy: "runs" });
  const verified = await stack.towpath(["ledger", "verify", "--project", home]);
  expect(verified.code, verified.output).toBe(0);
  expect(verified.output).toContain("2 lines, the chain is whole");
});

test("A rerun of an old version is refused before it is created, and says how to run the old code", async () => {
  const [early] = (await stack.client.listRuns({ query: { deployment: "echo" } })).items;
  const refused = await stack.towpath(["rerun", early?.id ?? "", "--same-version"]);
  expect(refused.code).toBe(65);
  expect(refused.output).toContain("below 2, the oldest that its latest spec still allows");
  expect(refused.output).toContain("towpath deployments rollback echo 1");
  expect(refused.output).toContain("floor: 1");
  expect((await stack.client.listRuns({ query: { deployment: "echo" } })).items).toHaveLength(1);
});

test("An old version that comes back runs on no worker that has seen the new one", async () => {
  await using worker = await stack.startWorker({ name: "seen" });
  expect((await stack.waitForRun(await stack.run("echo"))).state).toBe("completed");
  expect(await executed()).toEqual(["2"]);
  const replayed = await serving(1, { as: 2 }, async () => stack.waitForRun(await stack.run("echo")));
  expect(replayed).toMatchObject({ version: 1, state: "failed", cause: "refused" });
  expect(replayed.error?.message).toContain("Version 1 is older than 2");
  expect(await executed()).toEqual(["2"]);
  worker.kill("SIGTERM");
  await worker.exited;
});

test("A worker with a new state folder refuses the old version by the floor of its own configuration", async () => {
  const replayed = await serving(1, { as: 2 }, () => runOn("fresh", { floors: { echo: 2 } }));
  expect(replayed).toMatchObject({ version: 1, cause: "refused" });
  expect(replayed.error?.message).toContain('"floors" in this worker\'s configuration');
  expect(await executed()).toEqual(["2"]);
});

test("A worker of another workspace takes no work and says why", async () => {
  const { workspace } = await stack.client.getMe();
  await using worker = await stack.startWorker({
    name: "elsewhere",
    settings: { workspace: "0193a0b1-7c00-7000-8000-000000000009" },
  });
  expect(await worker.exited).toBe(1);
  expect(worker.output()).toContain(`belongs to the workspace ${workspace.id}`);
  expect(worker.output()).toContain("wrong-workspace");
  expect((await runOn("at-home", { workspace: workspace.id })).state).toBe("completed");
});

test("A deploy refuses a number that the control plane made up, and accepts it only if told so", async () => {
  const sql = postgres(stack.databaseUrl, { max: 1 });
  try {
    await sql`update deployment_version set version = 900 where version = 2`;
    await sql`update deployment set latest_version = 900`;
    const refused = await redeploy(`echo 3 >> ${work}/ledger`);
    expect(refused.code).toBe(65);
    expect(refused.output).toContain('has v900 of "echo", and the ledger ends at v2');
    expect(refused.output).toContain("git pull");
    expect(await lines()).toHaveLength(2);
    const planned = await redeploy(`echo 3 >> ${work}/ledger`, "--plan");
    expect(planned.code).toBe(65);
  } finally {
    await sql`update deployment_version set version = 2 where version = 900`;
    await sql`update deployment set latest_version = 2`;
    await sql.end();
  }
});

test("A deploy goes on after the ledger if the control plane has forgotten a version", async () => {
  await redeploy(`echo 3 >> ${work}/ledger`);
  const sql = postgres(stack.databaseUrl, { max: 1 });
  await sql`delete from deployment_version where version = 3`;
  await sql`update deployment set latest_version = 2`;
  await sql.end();
  const next = await redeploy(`echo 3 >> ${work}/ledger`);
  expect(next.code, next.output).toBe(0);
  expect(next.output).toContain('does not have v3 of "echo", which stands in the ledger');
  expect((await stack.client.getDeployment({ params: { name: "echo" } })).latest.version).toBe(4);
  const compared = await stack.towpath(["deployments", "diff", "echo"]);
  expect(compared.code, compared.output).toBe(0);
});

test("A run that has not ended keeps its version allowed, and ends on it", async () => {
  const waiting = await stack.run("echo");
  const deployed = await redeploy(`echo 5 >> ${work}/ledger`);
  expect(deployed.output).toContain('may still run "echo" from v4 on');
  expect(JSON.parse((await lines()).at(-1) ?? "")).toMatchObject({ version: 5, floor: 4 });
  await using worker = await stack.startWorker({ name: "pinned" });
  expect((await stack.waitForRun(await stack.run("echo"))).version).toBe(5);
  expect(await stack.waitForRun(waiting)).toMatchObject({ version: 4, state: "completed" });
  worker.kill("SIGTERM");
  await worker.exited;
  await redeploy(`echo 6 >> ${work}/ledger`);
  expect(JSON.parse((await lines()).at(-1) ?? "")).toMatchObject({ version: 6, floor: 6 });
});

test("A rollback is a new number with the old content, although the floor has risen", async () => {
  const done = await stack.towpath(["deployments", "rollback", "echo", "5", "--yes", "--project", home]);
  expect(done.code, done.output).toBe(0);
  expect(done.output).toContain("v7 of echo has the content of v5");
  const [fifth, seventh] = [(await lines())[4], (await lines()).at(-1)];
  expect(JSON.parse(seventh ?? "")).toMatchObject({ version: 7, floor: 7, expiresBy: "project" });
  const expiryOf = (line = "{}") => Date.parse(JSON.parse(line).expiresAt);
  expect(expiryOf(seventh)).toBeGreaterThan(expiryOf(fifth));
});

test("A conflict of two deployers is refused and repaired", async () => {
  const text = await readFile(join(home, LEDGER), "utf8");
  const rows = text.trim().split("\n");
  const [last = ""] = rows.slice(-1);
  const theirs = JSON.stringify({ ...JSON.parse(last), deployment: "theirs" });
  const conflict = [...rows.slice(0, -1), "<<<<<<< HEAD", last, "=======", theirs, ">>>>>>> main", ""];
  await writeFile(join(home, LEDGER), conflict.join("\n"));
  const refused = await redeploy(`echo 8 >> ${work}/ledger`);
  expect(refused.output).toContain("conflict mark of git");
  const merged = await stack.towpath(["ledger", "merge", "--project", home]);
  expect(merged.code, merged.output).toBe(0);
  const next = await redeploy(`echo 8 >> ${work}/ledger`);
  expect(next.code, next.output).toBe(0);
  expect(JSON.parse((await lines()).at(-1) ?? "").previous).toHaveLength(2);
  await rm(join(home, LEDGER));
  const fresh = await redeploy(`echo 9 >> ${work}/ledger`);
  expect(fresh.output).toContain('The ledger begins with v9 of "echo"');
});
