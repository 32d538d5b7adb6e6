import type { RunError } from "@towpath/contract";
import type { EndedTask } from "./ended-runs.ts";
import type { DemoFlow, Failure, Stage } from "./flow.ts";
import type { Random } from "./random.ts";

/** What one attempt of a run did, and how it ended. */
export interface Played {
  readonly tasks: readonly EndedTask[];
  /** What failed it; null if it completed. */
  readonly error: RunError | null;
  readonly endMs: number;
}

/** The start of an attempt that is played. */
export interface Play {
  readonly startMs: number;
  readonly durationMs: number;
  readonly failure: Failure | null;
}

/** The frames below the flow's own: every stack ends in them. */
const BELOW = [
  "at runTry (node_modules/towpath/dist/sdk/index.js:412:20)",
  "at runTask (node_modules/towpath/dist/sdk/index.js:377:11)",
  "at process.processTicksAndRejections (node:internal/process/task_queues:103:5)",
];

/** What a failure says, with its stack. */
export function errorOf(failure: Failure, random: Random): RunError {
  const { name } = failure;
  const message = failure.message(random);
  if (failure.frames.length === 0) return { name, message };
  const stack = [`${name}: ${message}`, ...[...failure.frames, ...BELOW].map((frame) => `    ${frame}`)].join(
    "\n",
  );
  return { name, message, stack };
}

/** Where a call of a stage stands in its run. */
export function pathOf(stage: Stage, item: string | undefined): string {
  return item === undefined ? stage.task : `${stage.task}:${encodeURIComponent(item)}`;
}

/** Plays the stages of a flow one after the other, the calls of each side by side, up to the one that fails. */
export function play(flow: DemoFlow, random: Random, args: Play): Played {
  const weights = flow.stages.reduce((sum, stage) => sum + stage.weight, 0);
  const tasks: EndedTask[] = [];
  let atMs = args.startMs + 20;
  for (const stage of flow.stages) {
    const tookMs = Math.max(5, (args.durationMs * stage.weight) / weights);
    const failing = args.failure?.task === stage.task ? args.failure : null;
    const error = failing && errorOf(failing, random);
    tasks.push(...callsOf({ stage, random, atMs, tookMs, error, first: tasks.length + 1 }));
    atMs += tookMs;
    if (error !== null) return { tasks, error, endMs: atMs + 15 };
  }
  return { tasks, error: null, endMs: atMs + 15 };
}

/** The calls of one stage; the last of them is the one that fails, if one does. */
function callsOf(args: {
  stage: Stage;
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
      createdAt: new Date(args.atMs),
      startedAt: new Date(args.atMs + 4 + index),
      endedAt: new Date(args.atMs + Math.max(6 + index, args.tookMs * share)),
    };
  });
}
