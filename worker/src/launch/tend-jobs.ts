import { type JobAnswer, type JobAsk, TEND_JOBS, type TendJobsOf } from "@towpath/contract/words";
import { addToEnvironment } from "./config.ts";
import { flowOf, isKeyed } from "./run-flow.ts";
import type { NumberedAnswer, NumberedAsk, RunnerTask } from "./runner-message.ts";
import { mapStacks } from "./source-maps.ts";

type JobsTask = Extract<RunnerTask, { kind: "jobs" }>;

/**
 * Answers the worker's questions about external jobs with the code of the flow that wanted each, until the
 * worker closes the channel. If that code cannot be loaded, each answer says so.
 */
export function tendJobs(task: JobsTask): void {
  addToEnvironment(task.env);
  process.chdir(task.cwd);
  mapStacks();
  const opening = open(task);
  process.on("message", (message) => void answer(opening, numberedAsk(message)));
}

async function open(task: JobsTask): Promise<(ask: JobAsk) => Promise<JobAnswer>> {
  try {
    const flow = await flowOf(task);
    const tend = isKeyed(flow) ? flow[TEND_JOBS] : undefined;
    if (!isTendJobs(tend))
      return stumbling(`"${task.exportName}" is not a flow of a release that supports jobs.`);
    return await tend(task.ground);
  } catch (error) {
    return stumbling(
      `Its code could not be loaded: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function stumbling(detail: string): () => Promise<JobAnswer> {
  return async () => ({ kind: "stumbled", detail });
}

async function answer(
  opening: Promise<(ask: JobAsk) => Promise<JobAnswer>>,
  { number, ask }: NumberedAsk,
): Promise<void> {
  const told = await (await opening)(ask);
  process.send?.({ number, told } satisfies NumberedAnswer);
}

/** Guaranteed by the channel: only the worker that started this process writes to it. */
function numberedAsk(message: unknown): NumberedAsk {
  return message as NumberedAsk;
}

function isTendJobs(value: unknown): value is TendJobsOf {
  return typeof value === "function";
}
