import type { Context, JobAnswer, JobAsk, JobGround } from "@towpath/contract";
import type { FlowEnding } from "@towpath/contract/words";

/** The code of a flow, and the environment that it is loaded in. */
export interface RunnerCode {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly module: string;
  readonly exportName: string;
}

/** What a runner may be told before it has a task: code that its task will be of. No secret, and nothing of any run. */
export interface RunnerLoad extends RunnerCode {
  readonly kind: "load";
}

/** What a runner is told, once, after the start was confirmed: before that it knows no secret and no run. */
export type RunnerTask = {
  /** Made by the runner before any code of a user runs: a worker that finds none after a kill knows that none did. */
  readonly takenFile: string;
} & (
  | (RunnerCode & {
      readonly kind: "flow";
      readonly address: { readonly socket: string; readonly tokenFile: string };
      /** What the gateway answers when it is asked for it: told at once, since every flow asks. */
      readonly context: Context;
      /** Where it writes for which ends the flow has a hook, if there is one. */
      readonly handlesFile: string;
      /** Not null: the attempt's process is gone, and only the flow's hook for that is to be run. */
      readonly ending: FlowEnding | null;
    })
  | (RunnerCode & { readonly kind: "jobs"; readonly ground: JobGround })
  | {
      readonly kind: "command";
      readonly cwd: string;
      readonly env: Readonly<Record<string, string>>;
      readonly argv: readonly string[];
      /** Where to write how the command ended, so that a worker that was away can know it. */
      readonly exitFile: string;
    }
);

/** What a runner says back, over the same channel, while it has one. */
export type RunnerMessage = "ready" | "loaded" | "taken";

/** The variable that marks a runner and all that it starts. A spec cannot set it. */
export const RUNNER_MARK = "TOWPATH_RUNNER";

/** A question to a runner that tends external jobs, and its answer, over the same channel. */
export interface NumberedAsk {
  readonly number: number;
  readonly ask: JobAsk;
}

/** See `NumberedAsk`. */
export interface NumberedAnswer {
  readonly number: number;
  readonly told: JobAnswer;
}

/** A process could not be started, or ended before it took its task. */
export class LaunchError extends Error {
  override readonly name = "LaunchError";
}
