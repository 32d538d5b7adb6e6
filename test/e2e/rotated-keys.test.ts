import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { newWorkspaceKey, type Run, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { deployFlows } from "./languages.fixture.ts";

const FLOWS = `
import { access, appendFile } from "node:fs/promises";
import { ctx, flow, job, suspend, task } from "towpath";
import { z } from "zod";

const note = (folder: string, text: string) => appendFile(folder + "/ledger", text + "\\n");
const there = (path: string) => access(path).then(() => true, () => false);
const square = task({ name: "square" }, async ({ folder, n }: { folder: string; n: number }) => {
  await note(folder, "square " + n);
  return { n, square: n * n };
});
const cached = task({ name: "cached", cache: true }, async (folder: string) => {
  await note(folder, "cached");
  return "cached";
});
const away = task({ name: "away" }, async (given: { folder: string; total: number }) => {
  await note(given.folder, "away " + given.total);
  return given.total + 1;
});
const ref = z.object({ uri: z.string(), codec: z.string(), sizeBytes: z.number(), sha256: z.string() });
const input = z.object({ folder: z.string() });
export const sums = flow({ name: "sums", input: input.extend({ squares: ref, fails: z.boolean() }) }, async ({ folder, squares, fails }) => {
  const all = await ctx.load<{ square: number }[]>(squares);
  await note(folder, "loaded " + all.length);
  if (fails) throw new Error("canary-of-a-child");
  return all.reduce((sum, one) => sum + one.square, 0);
});
const probe = job({
  name: "probe",
  pollEvery: "1s",
  submit: async (_key, given: { folder: string }) => given,
  poll: async ({ folder }: { folder: string }) => {
    if (!(await there(folder + "/done"))) return { state: "running", says: "canary-of-a-job" };
    return { state: "completed", result: { from: "job" } };
  },
});
export const rotated = flow({ name: "rotated", input }, async ({ folder }) => {
  const squares = await square.map(Array.from({ length: 40 }, (_, n) => ({ folder, n })));
  await cached(folder);
  const saved = await ctx.save("squares", squares);
  const waiting = suspend.job(probe, { folder });
  const event = await suspend.event("landed", { key: "canary-flight", schema: z.object({ at: z.string() }) });
  const answer = await suspend.input({ title: "canary: go on?", schema: z.object({ why: z.string().optional() }) });
  const result = await waiting;
  const total = await ctx.runDeployment("sums", { folder, squares: { ...saved }, fails: false });
  const failed = await ctx.runDeployment("sums", { folder, squares: { ...saved }, fails: true }, { key: "fails" }).catch((error) => error.name);
  const more = await away.with({ pool: "gpu" })({ folder, total });
  await note(folder, "got " + JSON.stringify({ event, answer, result, total, failed, more }));
  await cached(folder);
  return more;
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { rotated, sums } from "./flows/rotated.ts";
export default defineConfig({
  project: "rotated",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(rotated, { mayStart: ["sums"] }), deployment(sums)],
});
`;
const [OLD, FRESH] = [newWorkspaceKey(), newWorkspaceKey()];
const [OLD_STORE, FRESH_STORE] = ["a".repeat(40), "b".repeat(40)];

let stack: Stack;
let workers: TestProcess[] = [];

/** Starts the workers of both pools anew, with these keys. */
async function restart(keys: { workspace: readonly string[]; store: readonly string[] }): Promise<void> {
  await Promise.all(workers.map((one) => one[Symbol.asyncDispose]()));
  const files = async (kind: string, texts: readonly string[]) =>
    await Promise.all(
      texts.map(async (text) => {
        const file = join(stack.folder, `${kind}-${text.slice(-6)}.key`);
        await writeFile(file, text, { mode: 0o600 });
        return { file };
      }),
    );
  const workspaceKeys = await files("workspace", keys.workspace);
  const store = { root: join(stack.folder, "store"), keys: await files("store", keys.store) };
  workers = await Promise.all([
    stack.startWorker({ settings: { workspaceKeys, store } }),
    stack.startWorker({
      name: "gpu",
      settings: { workspaceKeys, store, pool: "gpu", key: { file: join(stack.folder, "gpu.key") } },
    }),
  ]);
}

/** A client with these workspace keys. */
async function clientWith(...keys: readonly string[]): Promise<Client> {
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  return createClient({ url: stack.url, token, sealing: { keys } });
}

beforeAll(async () => {
  stack = await startStack({ walls: true });
  await stack.client.createPool({ body: { name: "gpu" } });
  const { secret } = await stack.client.createKey({ body: { kind: "worker", name: "gpu", pool: "gpu" } });
  await writeFile(join(stack.folder, "gpu.key"), secret, { mode: 0o600 });
  await restart({ workspace: [OLD], store: [OLD_STORE] });
  const env = { TOWPATH_WORKSPACE_KEY: OLD };
  const sealed = await stack.towpath(["workspace", "seal", "--yes"], { env });
  expect(sealed.code, sealed.output).toBe(0);
  await deployFlows(
    stack,
    "typescript",
    { typescript: { "flows/rotated.ts": FLOWS, "towpath.config.ts": CONFIG }, python: {} },
    env,
  );
});
afterAll(() => stack?.[Symbol.asyncDispose]());

test("a sealed run goes on through the rotation of the workspace's and the store's keys, and repeats nothing", async () => {
  const folder = await stack.workFolder();
  const ledger = async () => (await readFile(join(folder, "ledger"), "utf8")).trim().split("\n");
  const before = await clientWith(OLD);
  const runId = uuidv7(Date.now());
  const request = { id: runId, deployment: "rotated@typescript", parameters: { folder } };
  await before.createRun({ body: request });
  await stack.waitForRun(runId, (run) => run.state === "suspended");

  await restart({ workspace: [FRESH, OLD], store: [FRESH_STORE, OLD_STORE] });
  const client = await clientWith(FRESH, OLD);
  expect((await client.createRun({ body: request })).id).toBe(runId);
  await writeFile(join(folder, "done"), "");
  const event = { name: "landed", key: "canary-flight", payload: { at: "noon" } };
  expect(await client.sendEvent({ body: { id: uuidv7(Date.now()), ...event } })).toMatchObject({
    satisfied: 1,
  });
  const asked = async () =>
    (await client.listWaits({ params: { runId }, query: {} })).items.find(({ kind }) => kind === "input");
  await expect.poll(async () => (await asked())?.title, { timeout: 60_000 }).toBe("canary: go on?");
  await client.answerWait({ params: { runId, waitId: (await asked())?.id ?? "" }, body: { answer: {} } });
  const run: Run = await stack.waitForRun(runId);
  expect(run, JSON.stringify((await client.getRun({ params: { runId } })).error)).toMatchObject({
    state: "completed",
  });
  const lines = await ledger();
  const squares = lines.filter((line) => line.startsWith("square"));
  expect([squares.length, new Set(squares).size]).toEqual([40, 40]);
  expect(lines.filter((line) => line === "cached")).toHaveLength(1);
  const total = 20540;
  expect(lines.filter((line) => line.startsWith("got"))).toEqual([
    `got ${JSON.stringify({ event: { at: "noon" }, answer: {}, result: { from: "job" }, total, failed: "ChildFailed", more: total + 1 })}`,
  ]);

  const rerun = uuidv7(Date.now());
  await client.rerunRun({ params: { runId }, body: { id: rerun, fromFailure: true } });
  await stack.waitForRun(rerun, (one) => one.state === "suspended");
  expect((await ledger()).filter((line) => line.startsWith("square"))).toHaveLength(40);
});
