import type { RunError, Upstream } from "@towpath/contract";
import type { EndedTask } from "./ended-runs.ts";
import type { DemoFlow, Failure, Stage } from "./flow.ts";
import type { Random } from "./random.ts";

/** The task calls of one attempt, and its end. */
export interface Played {
  readonly tasks: readonly EndedTask[];
  /** The error of a failed attempt. Null: it completed. */
  readonly error: RunError | null;
  readonly endMs: number;
}

/** The start, duration and failure of an attempt to play. */
export interface Play {
  readonly startMs: number;
  readonly durationMs: number;
  readonly failure: Failure | null;
}

/** The last frames of every stack, below the flow's own. */
const BELOW = [
  "at runTry (node_modules/towpath/dist/sdk/index.js:412:20)",
  "at runTask (node_modules/towpath/dist/sdk/index.js:377:11)",
  "at process.processTicksAndRejections (node:internal/process/task_queues:103:5)",
];

/** The error of a failure, with its stack. */
export function errorOf(failure: Failure, random: Random): RunError {
  const { name } = failure;
  const message = failure.message(random);
  if (failure.frames.length === 0) return { name, message };
  const stack = [`${name}: ${message}`, ...[...failure.frames, ...BELOW].map((frame) => `    ${frame}`)].join(
    "\n",
  );
  return { name, message, stack };
}

/** The path of a stage's call in its run. */
export function pathOf(stage: Stage, item: string | undefined): string {
  return item === undefined ? stage.task : `${stage.task}:${encodeURIComponent(item)}`;
}

/** The calls of the stage before, whose results each call of a stage receives. */
export function upstreamOf(before: Stage | undefined): Upstream | null {
  if (before === undefined) return null;
  return { paths: (before.items ?? [undefined]).map((item) => pathOf(before, item)) };
}

/** Plays the stages of a flow in sequence up to the one that fails. The calls of a stage run in parallel. */
export function play(flow: DemoFlow, random: Random, args: Play): Played {
  const weights = flow.stages.reduce((sum, stage) => sum + stage.weight, 0);
  const tasks: EndedTask[] = [];
  let atMs = args.startMs + 20;
  for (const [index, stage] of flow.stages.entries()) {
    const upstream = upstreamOf(flow.stages[index - 1]);
    const tookMs = Math.max(5, (args.durationMs * stage.weight) / weights);
    const failing = args.failure?.task === stage.task ? args.failure : null;
    const error = failing && errorOf(failing, random);
    tasks.push(...callsOf({ stage, upstream, random, atMs, tookMs, error, first: tasks.length + 1 }));
    atMs += tookMs;
    if (error !== null) return { tasks, error, endMs: atMs + 15 };
  }
  return { tasks, error: null, endMs: atMs + 15 };
}

/** The calls of one stage. If one fails, it is the last. */
function callsOf(args: {
  stage: Stage;
  upstream: Upstream | null;
  random: Random;
  atMs: number;
  tookMs: number;
  error: RunError | null;
  first: number;
}): EndedTask[] {
  const items = args.stage.items ?? [undefined];
  return items.map((item, index) => {
    const isLast = index === items.length - 1;
    const share = isLast ? 1 : 0.35 + args.random.next() * 0.6;
    const error = isLast ? args.error : null;
    return {
      path: pathOf(args.stage, item),
      name: args.stage.task,
      ord: args.first + index,
      error,
      state: error === null ? ("completed" as const) : ("failed" as const),
      tries: error === null ? 1 : 2,
      upstream: args.upstream,
      createdAt: new Date(args.atMs),
      startedAt: new Date(args.atMs + 4 + index),
      endedAt: new Date(args.atMs + Math.max(6 + index, args.tookMs * share)),
    };
  });
}
