import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { deployFlows } from "./languages.fixture.ts";

const FLOWS = `
import { flow, job, suspend } from "towpath";
import { z } from "zod";

const probe = job({
  name: "probe",
  pollEvery: "1s",
  submit: async (_key, given: { n: number }) => given,
  poll: async ({ n }) => ({ state: "completed", result: { n, next: n + 1 } }),
});
export const probes = flow({ name: "probes", input: z.object({ n: z.number() }) }, async ({ n }) => {
  const jobs = [n, n + 10].map((one) => suspend.job(probe, { n: one }, { key: String(one) }));
  const [one, other] = await Promise.all(jobs);
  return one.next + other.next;
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { probes } from "./flows/probes.ts";
export default defineConfig({
  project: "probes",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(probes)],
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ walls: true });
  await stack.startWorker();
  await deployFlows(stack, "typescript", {
    typescript: { "flows/probes.ts": FLOWS, "towpath.config.ts": CONFIG },
    python: {},
  });
});
afterAll(() => stack?.[Symbol.asyncDispose]());

test("results of two external jobs of a run are stored and read where each attempt has a user of its own, and stay the worker's", async () => {
  const runId = await stack.run("probes@typescript", { n: 1 });
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
  const folder = join(stack.folder, "store", "runs", runId, "attempt-0");
  const jobs = await readdir(folder);
  expect(jobs).toHaveLength(2);
  for (const job of jobs) {
    const paths = [
      folder,
      join(folder, job),
      ...(await readdir(join(folder, job))).map((name) => join(folder, job, name)),
    ];
    for (const path of paths) expect((await stat(path)).uid).toBe(process.getuid?.());
  }
});
