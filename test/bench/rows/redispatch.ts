import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { TestProcess } from "../../harness/process.ts";
import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { nowMs, startFlowWorker } from "../project.ts";

const LOOK_MS = 5;
const WAIT_MAX_MS = 120_000;

async function lineOf(file: string, line: number): Promise<{ pid: number; atMs: number }> {
  for (const startMs = nowMs(); nowMs() - startMs < WAIT_MAX_MS; await pause(LOOK_MS)) {
    if (!existsSync(file)) continue;
    const [pid, atMs] = ((await readFile(file, "utf8")).split("\n")[line] ?? "").split(" ").map(Number);
    if (pid !== undefined && atMs !== undefined) return { pid, atMs };
  }
  throw new Error(`Attempt ${line + 1} did not begin within ${WAIT_MAX_MS} ms.`);
}

/** From kill -9 of a worker until its run's first line is executed again. `next` is what takes it over. */
async function retaken(arena: Arena, next: "another worker" | "the same worker"): Promise<number> {
  const file = join(arena.stack.folder, `held-${nowMs()}`);
  const name = `killed-${nowMs()}`;
  await using worker = await startFlowWorker(arena.stack, name);
  const runId = await arena.stack.run("held", { file });
  const { pid } = await lineOf(file, 0);
  let other: TestProcess | null = null;
  if (next === "another worker") {
    other = await startFlowWorker(arena.stack, `other-${nowMs()}`);
    await other.waitFor(/"msg":"[^"]*(serving|ready|polling|connected|session)[^"]*"/i);
  }
  const killedMs = nowMs();
  worker.kill("SIGKILL");
  process.kill(pid, "SIGKILL");
  await worker.exited;
  other ??= await startFlowWorker(arena.stack, name);
  const { atMs } = await lineOf(file, 1);
  await arena.stack.waitForRun(runId);
  other.kill("SIGTERM");
  await other.exited;
  return (atMs - killedMs) / 1000;
}

/** Re-dispatch after kill -9 of the worker and its flow, under `onDisconnect: stop` with the default leases. */
export async function redispatchRow(arena: Arena): Promise<Row> {
  const rounds = sized(arena, { tiny: 1, quick: 1, full: 3 });
  const [elsewhere, restarted]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    restarted.push(await retaken(arena, "the same worker"));
    if (arena.size !== "tiny") elsewhere.push(await retaken(arena, "another worker"));
  }
  return {
    row: "redispatch",
    unit: "s",
    peers: {},
    ratio: null,
    aim: "none",
    ours: { restarted: median(restarted), ...(elsewhere.length > 0 ? { elsewhere: median(elsewhere) } : {}) },
    how:
      "kill -9 of a worker and its flow until the first line runs again: when the worker is started again at once, and on " +
      `another worker, which waits for the lease (30 s) and its grace (10 s). Median of ${rounds} rounds. ` +
      "No peer: graphile-worker has no leases, a job of a runner that was killed stays locked for 4 hours.",
  };
}
