import type { Context, JobAnswer, JobAsk, JobGround } from "@towpath/contract";
import type { FlowEnding, GatewayAddress } from "@towpath/contract/words";

/** The code of a flow, and the environment that it is loaded in. */
export interface RunnerCode {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly module: string;
  readonly exportName: string;
  /** The folder of installed npm packages. Null: the code is complete. */
  readonly packages: string | null;
}

/** What a runner may get before its task: the code of that task. No secret, and nothing of any run. */
export interface RunnerLoad extends RunnerCode {
  readonly kind: "load";
}

/** The task of a runner, sent once, after the start was confirmed. Before, it knows no secret and no run. */
export type RunnerTask = {
  /** The runner makes this file before user code runs. If it is missing after a kill, no user code ran. */
  readonly takenFile: string;
} & (
  | (RunnerCode & {
      readonly kind: "flow";
      readonly address: GatewayAddress;
      /** The context that the gateway would answer. It is sent at once, because every flow asks for it. */
      readonly context: Context;
      /** Where the runner writes for which ends the flow has a hook. */
      readonly handlesFile: string;
      /** Not null: the attempt's process is gone, and only the flow's hook for that end runs. */
      readonly ending: FlowEnding | null;
    })
  | (RunnerCode & { readonly kind: "jobs"; readonly ground: JobGround })
  | {
      readonly kind: "command";
      readonly cwd: string;
      readonly env: Readonly<Record<string, string>>;
      readonly argv: readonly string[];
      /** The interpreter that is `python` and `python3` for the command. Null: those of its PATH. */
      readonly python: string | null;
      /** The folder of installed npm packages, which `node` finds. Null: there are none. */
      readonly packages: string | null;
      /** Where the runner writes how the command ended, for a worker that was away. */
      readonly exitFile: string;
    }
);

/** What a runner answers, over the same channel, before its task. */
export type RunnerMessage = "ready" | "loaded" | "taken";

/** The variable that marks a runner and all its child processes. A spec cannot set it. */
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
