import { join } from "node:path";
import type { Stack } from "../harness/index.ts";

/**
 * Flows that write down everything they do in a ledger on disk, which no fault of ours can take back: who began, every step, a
 * sign of life while they live, a child of their own, and the end.
 */
const FLOWS = `
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { flow, log, task } from "towpath";
import { z } from "zod";

const input = z.object({
  ledger: z.string(), run: z.string(), steps: z.number().default(5), stepMs: z.number().default(120), lines: z.number().default(3),
});
const monotonicMs = () => Number(process.hrtime.bigint() / 1_000_000n);
const body = async ({ ledger, run, steps, stepMs, lines }: z.output<typeof input>, ctx) => {
  const note = (what: string, more: object = {}) =>
    appendFileSync(ledger, JSON.stringify({ run, attempt: ctx.attempt, pid: process.pid, atMs: monotonicMs(), what, ...more }) + "\\n");
  note("begin");
  const beat = setInterval(() => note("beat"), 40);
  beat.unref();
  const child = spawn("sleep", ["300"], { stdio: "ignore" });
  child.unref();
  note("child", { child: child.pid });
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
const step = task({ name: "step" }, async ({ index, stepMs, note }: { index: number; stepMs: number; note: (what: string, more: object) => void }) => {
  note("step", { index });
  await pause(stepMs);
  return index;
});
export const going = flow({ name: "going", input }, body);
export const stopping = flow({ name: "stopping", input }, body);
export const once = flow({ name: "once", input }, body);
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { going, once, stopping } from "./flows/steps.ts";

const retry = { limit: 30, delayMs: 100, causes: ["lost", "killed", "error", "oom", "timeout"] };
export default defineConfig({
  project: "chaos",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(going, { retry, killGraceMs: 1_000, onDisconnect: "continue", lostAfterMs: 2_500 }),
    deployment(stopping, { retry, killGraceMs: 1_500, onDisconnect: "stop" }),
    deployment(once, { killGraceMs: 1_000, onDisconnect: "continue", lostAfterMs: 60_000 }),
  ],
});
`;

/** The deployments of every scene: retried and going on, retried and stopping, and never retried nor soon lost. */
export type DeploymentName = "going" | "stopping" | "once";

/** Deploys the flows. */
export async function deployFlows(stack: Stack): Promise<void> {
  const home = await stack.project({
    "flows/steps.ts": FLOWS,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
}
