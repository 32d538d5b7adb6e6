import { join } from "node:path";
import type { Stack } from "../harness/index.ts";

/**
 * Flows that record everything they do in a file on disk, where no fault of the system can lose it: start, every step, heartbeats,
 * a child process, and the end.
 */
const FLOWS = `
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { flow, log, suspend, task } from "towpath";
import { z } from "zod";

const input = z.object({
  ledger: z.string(), run: z.string().optional(), steps: z.number().default(5), stepMs: z.number().default(120), lines: z.number().default(3),
});
const monotonicMs = () => Number(process.hrtime.bigint() / 1_000_000n);
type Given = z.output<typeof input>;
const nothing = async () => {};
const noted = (between: () => Promise<void> = nothing) => async ({ ledger, run, steps, stepMs, lines }: Given, ctx) => {
  const note = (what: string, more: object = {}) =>
    appendFileSync(ledger, JSON.stringify({ run: run ?? ctx.runId, attempt: ctx.attempt, attemptId: ctx.attemptId, pid: process.pid, atMs: monotonicMs(), what, ...more }) + "\\n");
  note("begin");
  const beat = setInterval(() => note("beat"), 40);
  beat.unref();
  const child = spawn("sleep", ["300"], { stdio: "ignore" });
  child.unref();
  note("child", { child: child.pid });
  await between();
  for (let index = 0; index < steps; index++) {
    for (let line = 0; line < lines; line++) log.info("line " + (index * lines + line) + " of " + ctx.attempt);
    await step.with({ key: String(index) })({ index, stepMs, note });
  }
  console.log("printed at the end of " + ctx.attempt);
  note("end");
  clearInterval(beat);
  child.kill("SIGKILL");
  return { steps };
};
const body = noted();
const step = task({ name: "step" }, async ({ index, stepMs, note }: { index: number; stepMs: number; note: (what: string, more: object) => void }) => {
  note("step", { index });
  await pause(stepMs);
  return index;
});
export const going = flow({ name: "going", input }, body);
export const stopping = flow({ name: "stopping", input }, body);
export const once = flow({ name: "once", input }, body);
export const limited = flow({ name: "limited", input }, body);
export const timed = flow({ name: "timed", input }, body);
const answer = z.object({ go: z.boolean() });
export const asking = flow({ name: "asking", input }, noted(async () => { await suspend.input({ title: "Go on?", schema: answer }); }));
export const napping = flow({ name: "napping", input }, noted(() => suspend.for("5s")));
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { asking, going, limited, napping, once, stopping, timed } from "./flows/steps.ts";

const retry = { limit: 30, delayMs: 100, causes: ["lost", "killed", "error", "oom", "timeout"] };
const patient = { killGraceMs: 1_000, onDisconnect: "continue", lostAfterMs: 60_000 };
const stops = { retry, killGraceMs: 1_500, onDisconnect: "stop" };
const SETS = {
  steps: [
    deployment(going, { retry, killGraceMs: 1_000, onDisconnect: "continue", lostAfterMs: 2_500 }),
    deployment(stopping, stops),
    deployment(once, patient),
  ],
  loads: [
    deployment(limited, { ...patient, limits: ["crew"] }),
    deployment(timed, patient),
    deployment(asking, patient),
    deployment(napping, stops),
  ],
};
export default defineConfig({
  project: "chaos",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: DEPLOYMENTS,
});
`;

/** The deployments of every scene: retried under `continue`, retried under `stop`, and one that is never retried and is lost late. */
export type StepsName = "going" | "stopping" | "once";

/**
 * Deployments for scenes that ask for them: with slots of a limit, for schedules, with a question, and with a sleep. Only the last
 * one is retried, under `stop`. The others are never retried and are lost late.
 */
export type LoadName = "limited" | "timed" | "asking" | "napping";

export type DeploymentName = StepsName | LoadName;

/** Deployments whose attempts never have two processes at once. */
export const STOPPING: readonly DeploymentName[] = ["stopping", "napping"];

/** Deploys the flows. @param args.loads also deploys those for waits, limits and schedules, which need a limit `crew` */
export async function deployFlows(stack: Stack, args: { loads: boolean }): Promise<void> {
  const sets = args.loads ? "[...SETS.steps, ...SETS.loads]" : "SETS.steps";
  const config = CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry")));
  const home = await stack.project({
    "flows/steps.ts": FLOWS,
    "towpath.config.ts": config.replace("DEPLOYMENTS", sets),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
}
