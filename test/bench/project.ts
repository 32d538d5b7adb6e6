import { join } from "node:path";
import type { TestProcess } from "../harness/process.ts";
import type { Stack } from "../harness/stack.ts";

/** Flows whose times are taken from inside. `now()` is this machine's clock with parts of a millisecond. */
const FLOWS = `
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import fsPromises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { setTimeout as pause } from "node:timers/promises";
import { flow, job, log, suspend, task } from "towpath";
import { z } from "zod";

const now = () => performance.timeOrigin + performance.now();

export const first = flow({ name: "first", input: z.object({ file: z.string() }) }, async ({ file }) => {
  const startedAt = now();
  appendFileSync(file, startedAt + "\\n");
});
const one = task({ name: "one" }, async (n: number) => n);
export const tasks = flow({ name: "tasks", input: z.object({ count: z.number() }) }, async ({ count }) => {
  for (let n = 0; n < count; n++) await one(n);
});
const sure = one.with({ durable: true });
const Steps = z.object({ count: z.number(), durable: z.boolean(), file: z.string() });
export const steps = flow({ name: "steps", input: Steps }, async ({ count, durable, file }) => {
  const step = durable ? sure : one;
  const beganAt = now();
  for (let n = 0; n < count; n++) await step(n);
  writeFileSync(file, beganAt + " " + now());
});
export const lines = flow({ name: "lines", input: z.object({ count: z.number() }) }, async ({ count }) => {
  for (let n = 0; n < count; n++) {
    log.info("line " + n + " of a flow that has much to say about what it does");
    if (n % 1000 === 0) await pause(0);
  }
});
const Season = z.object({ count: z.number(), killAt: z.number(), file: z.string() });
let begun = 0;
const sample = task({ name: "sample" }, async ({ n, killAt, file }: { n: number; killAt: number; file: string }) => {
  begun += 1;
  if (begun === 1) appendFileSync(file, now() + "\\n");
  if (begun === killAt && n < killAt * 1.5) {
    appendFileSync(file, now() + "\\n");
    process.kill(process.pid, "SIGKILL");
  }
  return n;
});
export const season = flow({ name: "season", input: Season }, async ({ count, killAt, file }, ctx) => {
  let reads = 0;
  const { readFile } = fsPromises;
  fsPromises.readFile = ((...args: Parameters<typeof readFile>) => {
    if (String(args[0]).includes("/runs/" + ctx.runId + "/")) reads += 1;
    return readFile(...args);
  }) as typeof readFile;
  syncBuiltinESMExports();
  function* samples() {
    for (let n = 0; n < count; n++) yield { n, killAt, file };
  }
  let sum = 0;
  for await (const n of sample.map(samples(), { concurrency: 100 })) sum += n;
  return { sum, again: ctx.attempt === 1 ? 0 : begun, reads };
});
export const map = flow({ name: "map", input: z.object({ count: z.number(), file: z.string() }) }, async ({ count, file }) => {
  const beganAt = now();
  for await (const _ of one.map(Array.from({ length: count }, (_, n) => n), { concurrency: 100 }));
  writeFileSync(file, beganAt + " " + now());
});
const double = task({ name: "double" }, async (n: number) => n * 2);
const Mapped = z.object({ count: z.number(), form: z.enum(["iterated", "keyed", "whole"]), file: z.string() });
export const mapped = flow({ name: "mapped", input: Mapped }, async ({ count, form, file }) => {
  process.once("exit", () => {
    // process.resourceUsage() also counts the memory of the process that started this one.
    const peak = /VmHWM:\\s+(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
    writeFileSync(file, String(Number(peak?.[1]) * 1024));
  });
  function* numbers() {
    for (let n = 0; n < count; n++) yield n;
  }
  const options = { concurrency: 100, ...(form === "keyed" ? { key: (n: number) => "item " + n } : {}) };
  let sum = 0;
  if (form === "whole") for (const n of await double.map([...numbers()], options)) sum += n;
  else for await (const n of double.map(numbers(), options)) sum += n;
  return sum;
});
const tick = task({ name: "tick" }, async (file: string) => {
  appendFileSync(file, now() + "\\n");
  return { file };
});
export const loop = flow({ name: "loop", input: z.object({ file: z.string() }) }, async ({ file }) => {
  for (let n = 0; ; n++) {
    await tick.with({ key: String(n) })(file);
    await suspend.for("1h", { key: String(n) });
  }
});
const ask = async (path: string, init?: RequestInit) => (await fetch(path, init)).json();
const batch = job({
  name: "batch",
  pollEvery: "2s",
  submit: async (key, { cluster }: { cluster: string; n: number }) => {
    const { id } = await ask(cluster + "/jobs", { method: "POST", body: JSON.stringify({ key }) });
    return { cluster, id: String(id) };
  },
  poll: async ({ cluster, id }) => {
    const { status } = await ask(cluster + "/jobs/" + id);
    return status === "RUNNING" ? { state: "running", says: status } : { state: "completed", result: id };
  },
});
const Jobs = z.object({ count: z.number(), cluster: z.string() });
export const jobs = flow({ name: "jobs", input: Jobs }, async ({ count, cluster }) => {
  await Promise.all(Array.from({ length: count }, (_, n) => suspend.job(batch, { cluster, n }, { key: String(n) })));
});
export const held = flow({ name: "held", input: z.object({ file: z.string() }) }, async ({ file }, ctx) => {
  appendFileSync(file, process.pid + " " + now() + "\\n");
  if (ctx.attempt === 1) for (;;) await pause(1000);
});
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { first, held, jobs, lines, loop, map, mapped, season, steps, tasks } from "./flows/flows.ts";

export default defineConfig({
  project: "bench",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(first, {}), deployment(tasks, {}), deployment(lines, {}), deployment(steps, {}), deployment(jobs, {}),
    deployment(map, {}), deployment(mapped, {}), deployment(loop, {}),
    deployment(season, { retry: { limit: 1, delayMs: 0, causes: ["killed"] } }),
    deployment(held, { onDisconnect: "stop", retry: { limit: 1, delayMs: 0, causes: ["lost", "killed"] } }),
  ],
});
`;

const deployed = new WeakSet<Stack>();

/** Deploys the bench's flows with the CLI, once per stack. @param env More variables for the CLI. */
export async function deployFlows(stack: Stack, env: NodeJS.ProcessEnv = {}): Promise<void> {
  if (deployed.has(stack)) return;
  const home = await stack.project({
    "flows/flows.ts": FLOWS,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const result = await stack.towpath(["deploy", "--project", home], { env });
  if (result.code !== 0) throw new Error(`deploy failed (${result.code}):\n${result.output}`);
  deployed.add(stack);
}

/** Starts a real worker on the bench's flows. It is ready for work when the first run has ended. */
export async function startFlowWorker(
  stack: Stack,
  name: string,
  settings: object = { warm: 2 },
): Promise<TestProcess> {
  await deployFlows(stack);
  return stack.startWorker({ name, settings });
}

/** Settings of a worker whose log tells when code is loaded ahead. */
export const TELLING = { logLevel: "debug" } as const;

/**
 * Call it before a run of a deployment is created, and what it returns when the run has ended: that resolves when the code is loaded
 * ahead for the next run. @param worker It has the settings `TELLING`.
 */
export function nextAhead(worker: TestProcess, deployment: string): () => Promise<void> {
  // One pass over what is new: a pattern that repeats the line backtracks for minutes once there are many.
  const oneMore = new RegExp(
    `^[^]{${worker.output().length}}[^]*?"deployment":"${deployment}".*"a runner has loaded a deployment's code"`,
  );
  return async () => void (await worker.waitFor(oneMore));
}

/** This machine's clock, comparable between its processes. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
