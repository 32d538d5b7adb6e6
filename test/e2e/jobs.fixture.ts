import { join } from "node:path";
import type { BatchCluster, Stack } from "../harness/index.ts";

/** Submits a job to a cluster and returns the job's result. A test can make it die or stop once, at a named point. */
const FLOW = `
import { access, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { flow, job, suspend, task } from "towpath";
import { z } from "zod";

type Input = { cluster: string; folder: string; die: string };
type Handle = { cluster: string; id: string };
const isThere = (path: string) => access(path).then(() => true, () => false);
async function dieOnce({ folder, die }: Input, place: string) {
  const [at, how] = die.split(":");
  if (at !== place || (await isThere(folder + "/died"))) return;
  await writeFile(folder + "/died", "");
  if (how === "stand") setInterval(() => {}, 60_000);
  else process.kill(process.pid, "SIGKILL");
  await new Promise(() => {});
}
async function ask(path: string, init?: RequestInit) {
  const answer = await fetch(path, init);
  if (!answer.ok) throw new Error("the cluster answers " + answer.status);
  return await answer.json();
}
const submitTo = async (key: string, input: Input, callbackUrl: string | null) => {
  await dieOnce(input, "before-submit");
  const { id } = await ask(input.cluster + "/jobs", { method: "POST", body: JSON.stringify({ key, callbackUrl }) });
  await dieOnce(input, "before-handle");
  return { cluster: input.cluster, id };
};
const CLUSTER = process.env.CLUSTER ?? "";
const find = async (key: string) => {
  const found = await ask(CLUSTER + "/jobs?key=" + key);
  return found && { cluster: CLUSTER, id: String(found.id) };
};
const cancel = async ({ cluster, id }: Handle) => {
  await ask(cluster + "/jobs/" + id, { method: "DELETE" });
};
export const train = job({
  name: "train",
  pollEvery: "1s",
  submit: (key, input: Input) => submitTo(key, input, null),
  find,
  poll: async ({ cluster, id }) => {
    const { status } = await ask(cluster + "/jobs/" + id);
    if (status === "SUCCEEDED") return { state: "completed", result: { id, polledBy: process.pid } };
    if (status === "RUNNING") return { state: "running", says: status };
    return { state: "failed", error: "the cluster says " + status };
  },
  cancel,
});
export const called = job({
  name: "called",
  callback: true,
  submit: (key, input: Input, { callbackUrl }) => submitTo(key, input, callbackUrl),
  find,
  cancel,
});
const lurk = task({ name: "lurk", checkpoint: false }, async (input: Input) => {
  if (!input.die.startsWith("after-handle") || (await isThere(input.folder + "/died"))) return;
  while (!(await isThere(input.folder + "/now"))) await pause(20);
  await dieOnce(input, "after-handle");
});
const input = z.object({ cluster: z.string(), folder: z.string(), die: z.string().default("") });
export const trains = flow({ name: "trains", input }, async (given) => {
  await writeFile(given.folder + "/flow", String(process.pid));
  await dieOnce(given, "before-intent");
  const [trained] = await Promise.all([suspend.job(train, given), lurk(given)]);
  await writeFile(given.folder + "/result", JSON.stringify({ ...trained, ranIn: process.pid }));
});
export const calls = flow({ name: "calls", input }, async (given) => {
  const result = await suspend.job(called, given);
  await writeFile(given.folder + "/result", JSON.stringify(result));
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { calls, trains } from "./flows/trains.ts";
const retry = { limit: 5, delayMs: 0, causes: ["lost", "killed", "error"] };
const env = { CLUSTER: CLUSTER_URL };
export default defineConfig({
  project: "jobs",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(trains, { retry, env, killGraceMs: 1_000, onDisconnect: "continue", lostAfterMs: 2_000 }), deployment(calls, { retry, env })],
});
`;

/** Deploys `trains`, which polls its job, and `calls`, whose backend calls back. */
export async function deployJobs(stack: Stack, cluster: BatchCluster): Promise<void> {
  const config = CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry")));
  const home = await stack.project({
    "flows/trains.ts": FLOW,
    "towpath.config.ts": config.replace("CLUSTER_URL", JSON.stringify(cluster.url)),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
}
