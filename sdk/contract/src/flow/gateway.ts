import { LIMITS } from "../kernel/limits.ts";
import type { Ref, RunError } from "../runs/runs.ts";
import type { Context } from "./protocol.ts";

/** The environment variables by which a worker tells a flow process where its gateway is. */
export const GATEWAY_ENV = {
  /** Path of the Unix socket. */
  socket: "TOWPATH_SOCKET",
  /** Path of the file that holds the attempt's token. */
  tokenFile: "TOWPATH_TOKEN_FILE",
  /** The run's id. */
  runId: "TOWPATH_RUN_ID",
  /** For commands: path of a JSON file with the parameters. */
  parametersFile: "TOWPATH_PARAMETERS_FILE",
  /** A folder of the attempt's own, removed with it. */
  workDir: "TOWPATH_WORK_DIR",
  /** Path of the file in which the process notes its newest log line. */
  newestLineFile: "TOWPATH_NEWEST_LINE_FILE",
} as const;

/** The most records in one POST. */
export const flowRecordsMax: number = LIMITS.laneRecords;

/**
 * The longest text that a client of the run protocol sends in a log line or an error, characters. It cuts longer ones exactly here,
 * and adds nothing: the worker takes secrets out first, cuts to what may leave afterwards, and knows by this length that the
 * text's end may be half a secret.
 */
export const flowTextChars: number = 64 * 1024;

/** Where the SDK hangs the function by which a runner starts a flow: `flow[RUN_FLOW](gatewayAddress, context)`. */
export const RUN_FLOW: unique symbol = Symbol.for("towpath.run-flow");

/** Where the SDK hangs, on that function, what makes its first call fast: `await flow[RUN_FLOW][REHEARSE_FLOW]()`. */
export const REHEARSE_FLOW: unique symbol = Symbol.for("towpath.rehearse-flow");

/** Where the SDK hangs, on that function, what a runner runs once the process of an attempt is gone. */
export const RUN_ENDING: unique symbol = Symbol.for("towpath.run-ending");

/** Where a flow process finds its worker's gateway: what the variables of `GATEWAY_ENV` say. */
export interface GatewayAddress {
  /** Path of the Unix socket. */
  readonly socket: string;
  /** Path of the file that holds the attempt's token. */
  readonly tokenFile: string;
  /**
   * Path of a file in the attempt's folder. The process writes the `seq` of each log line into its first 8 bytes (little-endian)
   * before it prints more, so that the worker puts log lines and printed lines in their order. Missing: a worker of an earlier release.
   */
  readonly newestLineFile?: string | undefined;
}

/**
 * The function under `RUN_FLOW`. Reports everything through the gateway, the outcome included, and resolves with that
 * outcome once the gateway holds it. Rejects only if the gateway refuses the process for good.
 * @param context What `GET /context` would answer. Without it the flow asks.
 */
export interface RunFlow {
  (address: GatewayAddress, context?: unknown): Promise<"completed" | "failed" | "cancelled" | "suspended">;
  /**
   * Does once what every run of the flow does at its start, with nothing of a run and nothing of the user's. For a process that
   * waits for its run: what is done for the second time is several times as fast.
   */
  readonly [REHEARSE_FLOW]?: () => Promise<void>;
  /** What is run once the process of an attempt is gone. Missing: the flow was bundled with a release that runs no hook then. */
  readonly [RUN_ENDING]?: RunEnding;
}

/** How an attempt ended whose process was gone before its flow had said anything. */
export interface FlowEnding {
  readonly outcome: "cancelled" | "crashed";
  /** `user`, `killed`, `oom`, `timeout` or `error`. */
  readonly cause: string;
  /** A sentence; of a cancellation the words of who asked for it. */
  readonly reason: string;
}

/** The object under `RUN_ENDING`. */
export interface RunEnding {
  /** The ends for which the flow has a hook. */
  readonly handles: readonly FlowEnding["outcome"][];
  /** Runs the hook and nothing else. Resolves once the gateway holds all that it told; a hook that fails is a warning there. */
  readonly run: (
    address: GatewayAddress,
    args: { readonly context: unknown; readonly ending: FlowEnding },
  ) => Promise<void>;
}

/** Where the SDK hangs the function by which a runner asks about external jobs: `flow[TEND_JOBS](ground)`. */
export const TEND_JOBS: unique symbol = Symbol.for("towpath.tend-jobs");

/** The context of a poller, which it gets once. */
export type JobGround = Pick<Context, "workspaceId" | "deployment" | "version" | "secrets" | "store">;

/** A question about one external job. */
export interface JobAsk {
  readonly kind: "poll" | "cancel";
  readonly job: string;
  /** What it was submitted with. */
  readonly key: string;
  readonly runId: string;
  /** Null: it is unknown whether it was submitted. */
  readonly handle: Ref | null;
}

/** The answer to it. `stumbled` says nothing of the job: the question is asked again. */
export type JobAnswer =
  | { readonly kind: "running"; readonly says: string }
  | { readonly kind: "completed"; readonly result: Ref | null }
  | { readonly kind: "failed"; readonly error: RunError }
  | { readonly kind: "cancelled" }
  | { readonly kind: "left"; readonly detail: string }
  | { readonly kind: "stumbled"; readonly detail: string };

/** The function under `TEND_JOBS`. What it answers never rejects. */
export type TendJobsOf = (ground: JobGround) => Promise<(ask: JobAsk) => Promise<JobAnswer>>;
