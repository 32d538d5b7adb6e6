import { LIMITS } from "../kernel/limits.ts";

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

/** Where a flow process finds its worker's gateway: what the variables of `GATEWAY_ENV` say. */
export interface GatewayAddress {
  /** Path of the Unix socket. */
  readonly socket: string;
  /** Path of the file that holds the attempt's token. */
  readonly tokenFile: string;
}

/**
 * The function under `RUN_FLOW`. Reports everything through the gateway, the outcome included, and resolves with that
 * outcome once the gateway holds it. Rejects only if the gateway refuses the process for good.
 * @param context What `GET /context` would answer. Without it the flow asks.
 */
export type RunFlow = (
  address: GatewayAddress,
  context?: unknown,
) => Promise<"completed" | "failed" | "cancelled" | "suspended">;
