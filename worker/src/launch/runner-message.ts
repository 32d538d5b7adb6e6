import type { Context, JobAsk, JobGround, JobTold } from "@towpath/contract";

/** What a runner is told, once, after the start was confirmed: before that it knows neither code nor secrets. */
export type RunnerTask = {
  /** Made by the runner before any code of a user runs: a worker that finds none after a kill knows that none did. */
  readonly takenFile: string;
} & (
  | {
      readonly kind: "flow";
      readonly cwd: string;
      readonly env: Readonly<Record<string, string>>;
      readonly address: { readonly socket: string; readonly tokenFile: string };
      readonly module: string;
      readonly exportName: string;
      /** What the gateway answers when it is asked for it: told at once, since every flow asks. */
      readonly context: Context;
    }
  | {
      readonly kind: "jobs";
      readonly cwd: string;
      readonly env: Readonly<Record<string, string>>;
      readonly module: string;
      readonly exportName: string;
      readonly ground: JobGround;
    }
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
export type RunnerNews = "ready" | "taken";

/** The variable that marks a runner and all that it starts. A spec cannot set it. */
export const RUNNER_MARK = "TOWPATH_RUNNER";

/** A question to a runner that tends external jobs, and its answer, over the same channel. */
export interface NumberedAsk {
  readonly number: number;
  readonly ask: JobAsk;
}

/** See `NumberedAsk`. */
export interface NumberedTold {
  readonly number: number;
  readonly told: JobTold;
}
