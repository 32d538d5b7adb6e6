import { setTimeout as delay } from "node:timers/promises";
import { type Assignment, LIMITS } from "@towpath/contract";
import type { Deps } from "../kernel/index.ts";
import type { DemoWorker } from "./demo-worker.ts";
import type { DemoFlow, Stage } from "./flow.ts";
import { Random } from "./random.ts";
import { pathOf } from "./tasks.ts";

/** How long a poll waits for work, milliseconds. */
const POLL_MS = LIMITS.claimWaitMs;
/** The longest time to play a run, milliseconds, so that people see it end. */
const RUN_MS_MAX = 40_000;
/** The pause after a failed poll, milliseconds. */
const PAUSE_MS = 2_000;

/** The workers to play, their flows, and the signal that stops them. */
export interface PlayRequest {
  readonly deps: Deps;
  readonly demoWorkers: readonly DemoWorker[];
  readonly flows: readonly DemoFlow[];
  readonly signal: AbortSignal;
}

/** Controllers that stop the played runs, by attempt. */
type Playing = Map<string, AbortController>;

/** Plays the workers of the demo until the signal fires: they poll, play the runs that they get, and stop cancelled runs. */
export async function playWorkers(args: PlayRequest): Promise<void> {
  await Promise.all(args.demoWorkers.map((demoWorker) => serve(demoWorker, args)));
}

async function serve(demoWorker: DemoWorker, args: PlayRequest): Promise<void> {
  const playing: Playing = new Map();
  while (!args.signal.aborted) {
    try {
      const { assignments, commands } = await demoWorker.poll(POLL_MS, args.signal);
      for (const assignment of assignments) void begin(demoWorker, assignment, { ...args, playing });
      for (const command of commands)
        if (command.kind === "cancel") await stop(demoWorker, command.attemptId, playing);
    } catch {
      // The control plane is away, or another worker has the attempt. The next poll finds out.
      await delay(PAUSE_MS, undefined, { signal: args.signal }).catch(() => undefined);
    }
  }
}

async function begin(
  demoWorker: DemoWorker,
  fence: Assignment,
  args: PlayRequest & { playing: Playing },
): Promise<void> {
  const flow = args.flows.find((one) => one.name === fence.deployment);
  if (flow === undefined) return;
  const stopped = new AbortController();
  args.playing.set(fence.attemptId, stopped);
  try {
    await playRun(demoWorker, fence, {
      flow,
      deps: args.deps,
      signal: AbortSignal.any([stopped.signal, args.signal]),
    });
  } catch {
    if (stopped.signal.aborted)
      await demoWorker.end(fence, { outcome: "cancelled", cause: "user", exitCode: 143 });
  }
  args.playing.delete(fence.attemptId);
}

async function stop(demoWorker: DemoWorker, attemptId: string, playing: Playing): Promise<void> {
  const played = playing.get(attemptId);
  if (played !== undefined) return played.abort();
  const held = demoWorker.held.find((one) => one.attemptId === attemptId);
  if (held !== undefined) await demoWorker.end(held, { outcome: "cancelled", cause: "user", exitCode: 143 });
}

async function playRun(
  demoWorker: DemoWorker,
  fence: Assignment,
  args: { flow: DemoFlow; deps: Deps; signal: AbortSignal },
): Promise<void> {
  const { flow, deps, signal } = args;
  const random = new Random(Number.parseInt(fence.runId.slice(-8), 16));
  const wholeMs = Math.min(RUN_MS_MAX, random.about(flow.medianMs, flow.spread));
  const weights = flow.stages.reduce((sum, { weight }) => sum + weight, 0);
  const now = () => new Date(deps.clock.nowMs()).toISOString();
  await demoWorker.report(fence, { control: [{ type: "started", at: now(), launcher: "warm" }] });
  let firstLine = 0;
  for (const stage of flow.stages) {
    const moved = (move: string) =>
      (stage.items ?? [undefined]).map((item) => ({
        type: "task",
        at: now(),
        path: pathOf(stage, item),
        name: stage.task,
        move,
        tries: 1,
      }));
    const lines = linesOf(stage, now());
    await demoWorker.report(fence, {
      control: [...moved("queue"), ...moved("begin")],
      bulk: [{ type: "log", firstLine, lines }],
    });
    firstLine += lines.length;
    await delay((wholeMs * stage.weight) / weights, undefined, { signal });
    await demoWorker.report(fence, { control: moved("complete") });
  }
  await demoWorker.end(fence, { outcome: "completed" });
}

function linesOf(stage: Stage, at: string) {
  return (stage.items ?? [undefined]).map((item) => ({
    at,
    level: "info",
    stream: "log",
    task: pathOf(stage, item),
    text: `${stage.task} begins${item === undefined ? "" : ` with ${item}`}`,
  }));
}
