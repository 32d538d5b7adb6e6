import { setTimeout as pause } from "node:timers/promises";
import { isFinalRunState, type RunState } from "@towpath/contract";
import { startBatchCluster } from "../../harness/batch-cluster.ts";
import { type Arena, sized } from "../arena.ts";
import type { Row } from "../figures.ts";
import { processorTimes, total } from "../processor.ts";
import { startFlowWorker } from "../project.ts";

/** How often the jobs are to be polled, by the aim. */
const AIM_EVERY_MS = 30_000;

/** Processor time of a worker, and of the processes that it has started. */
async function usedBy(pid: number): Promise<{ worker: number; poller: number }> {
  const all = await processorTimes();
  return {
    worker: total(all.filter((one) => one.pid === pid)),
    poller: total(all.filter((one) => one.parent === pid)),
  };
}

/** Waits for a run, however long a busy machine takes. */
async function reaches({ stack }: Arena, args: { runId: string; state: RunState }): Promise<void> {
  const { runId } = args;
  let run = await stack.client.getRun({ params: { runId } });
  for (; run.state !== args.state; run = await stack.client.getRun({ params: { runId } })) {
    if (isFinalRunState(run.state)) throw new Error(`The run is ${run.state}: ${run.error?.message}`);
    await pause(100);
  }
}

/** What a worker's processor does for external jobs that are polled. */
export async function jobsRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 20, quick: 1_000, full: 1_000 });
  const windowMs = sized(arena, { tiny: 3_000, quick: 30_000, full: 60_000 });
  const { stack } = arena;
  await using cluster = await startBatchCluster();
  await using worker = await startFlowWorker(stack, "jobs");
  const runId = await stack.run("jobs", { count, cluster: cluster.url });
  await reaches(arena, { runId, state: "suspended" });
  const polls = () => cluster.jobs.reduce((sum, job) => sum + job.polls, 0);
  // Each has been polled once: the poller has warmed up.
  while (cluster.jobs.some((job) => job.polls === 0)) await pause(100);
  const before = { ...(await usedBy(worker.pid)), polls: polls() };
  const startMs = performance.now();
  await pause(windowMs);
  const after = { ...(await usedBy(worker.pid)), polls: polls() };
  const seconds = (performance.now() - startMs) / 1000;
  const asked = after.polls - before.polls;
  const [slots] = await arena.sql<{ count: number }[]>`
    select count(*)::int as count from attempt where ended_at is null`;
  cluster.finish("SUCCEEDED");
  const finishedMs = performance.now();
  await reaches(arena, { runId, state: "completed" });
  const perPoll = (field: "worker" | "poller") => (after[field] - before[field]) / asked;
  const cores = (field: "worker" | "poller") => (perPoll(field) * count) / AIM_EVERY_MS;
  worker.kill("SIGTERM");
  await worker.exited;
  return {
    row: "jobs",
    unit: "cores",
    peers: {},
    ratio: null,
    aim: "under 1 core, no slot",
    ours: {
      "poller at 30 s": cores("poller"),
      "worker at 30 s": cores("worker"),
      "polls/s measured": asked / seconds,
      "end to completed ms": performance.now() - finishedMs,
      "slots and attempts": slots?.count ?? Number.NaN,
    },
    how:
      `${count} external jobs of one run, each polled over HTTP every 2 s instead of every 30 s for ${Math.round(seconds)} s; processor time from ` +
      `/proc for each poll, and from it what polls every 30 s cost. The poller's figure holds all processes below the worker, idle runners included.`,
  };
}
