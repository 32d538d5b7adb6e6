import { setTimeout as delay } from "node:timers/promises";
import { type Assignment, LIMITS } from "@towpath/contract";
import type { Deps } from "../kernel/index.ts";
import type { Hand } from "./crew.ts";
import type { DemoFlow, Stage } from "./flow.ts";
import { Random } from "./random.ts";
import { pathOf } from "./tasks.ts";

/** How long a poll waits for work. */
const POLL_MS = LIMITS.claimWaitMs;
/** The longest that a run is played for, however long its like take: people are looking on. */
const RUN_MS_MAX = 40_000;
/** After a poll that failed. */
const REST_MS = 2_000;

/** What is played with, and until when. */
export interface Theatre {
  readonly deps: Deps;
  readonly hands: readonly Hand[];
  readonly flows: readonly DemoFlow[];
  readonly signal: AbortSignal;
}

/** Runs that are being played, by their attempts: what stops them. */
type Playing = Map<string, AbortController>;

/** Keeps the workers of the demo alive: they poll, run what comes as their flows would, and stop what is cancelled. */
export async function keepUp(args: Theatre): Promise<void> {
  await Promise.all(args.hands.map((hand) => serve(hand, args)));
}

async function serve(hand: Hand, args: Theatre): Promise<void> {
  const playing: Playing = new Map();
  while (!args.signal.aborted) {
    try {
      const { assignments, commands } = await hand.listen(POLL_MS, args.signal);
      for (const assignment of assignments) void begin(hand, assignment, { ...args, playing });
      for (const command of commands)
        if (command.kind === "cancel") await stop(hand, command.attemptId, playing);
    } catch {
      // The control plane is away, or the run was lost to somebody else: the next poll tells.
      await delay(REST_MS, undefined, { signal: args.signal }).catch(() => undefined);
    }
  }
}

async function begin(hand: Hand, fence: Assignment, args: Theatre & { playing: Playing }): Promise<void> {
  const flow = args.flows.find((one) => one.name === fence.deployment);
  if (flow === undefined) return;
  const stopped = new AbortController();
  args.playing.set(fence.attemptId, stopped);
  try {
    await playRun(hand, fence, {
      flow,
      deps: args.deps,
      signal: AbortSignal.any([stopped.signal, args.signal]),
    });
  } catch {
    if (stopped.signal.aborted) await hand.end(fence, { outcome: "cancelled", cause: "user", exitCode: 143 });
  }
  args.playing.delete(fence.attemptId);
}

async function stop(hand: Hand, attemptId: string, playing: Playing): Promise<void> {
  const played = playing.get(attemptId);
  if (played !== undefined) return played.abort();
  const held = hand.held.find((one) => one.attemptId === attemptId);
  if (held !== undefined) await hand.end(held, { outcome: "cancelled", cause: "user", exitCode: 143 });
}

async function playRun(
  hand: Hand,
  fence: Assignment,
  args: { flow: DemoFlow; deps: Deps; signal: AbortSignal },
): Promise<void> {
  const { flow, deps, signal } = args;
  const random = new Random(Number.parseInt(fence.runId.slice(-8), 16));
  const wholeMs = Math.min(RUN_MS_MAX, random.about(flow.medianMs, flow.spread));
  const weights = flow.stages.reduce((sum, { weight }) => sum + weight, 0);
  const now = () => new Date(deps.clock.nowMs()).toISOString();
  await hand.say(fence, { control: [{ type: "started", at: now(), launcher: "warm" }] });
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
    await hand.say(fence, {
      control: [...moved("queue"), ...moved("begin")],
      bulk: [{ type: "log", firstLine, lines }],
    });
    firstLine += lines.length;
    await delay((wholeMs * stage.weight) / weights, undefined, { signal });
    await hand.say(fence, { control: moved("complete") });
  }
  await hand.end(fence, { outcome: "completed" });
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
