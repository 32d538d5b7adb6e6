import { type Client, UnexpectedAnswer } from "@towpath/client";
import { type CreateRun, type Run, uuidv7 } from "@towpath/contract";
import { systemClock } from "./clock.ts";

export {
  type CallOptions,
  type Client,
  type ClientOptions,
  ConnectionFailure,
  createClient,
  type StreamedEvent,
  StreamInterrupted,
  type StreamOptions,
  UnexpectedAnswer,
} from "@towpath/client";
export {
  type OpenedEntries,
  type StoredFault,
  StoredReader,
  type StoredReaderOptions,
  StoredUnreadable,
} from "@towpath/client/stored";
export {
  type Deployment,
  type DeploymentVersion,
  isFinalRunState,
  Problem,
  type ProblemCode,
  type Run,
  type RunState,
  type RunSummary,
  type Schedule,
  type TaskRun,
} from "@towpath/contract";

/** A run to start: everything of `client.createRun`, with an id that may be left out. */
export type RunToStart = Omit<CreateRun, "id"> & {
  /** A UUIDv7. If you repeat a call after a lost answer, pass the same id. @default a new id */
  readonly id?: string;
};

/**
 * Starts a run of a deployment's latest version. A call that is repeated by the client creates no second run.
 * @returns The run's id, before any worker has claimed it.
 * @throws Problem `deployment-not-found`, `invalid-request` for parameters that the schema refuses, `forbidden`…
 */
export async function startRun(client: Client, run: RunToStart): Promise<{ readonly id: string }> {
  const id = run.id ?? uuidv7(systemClock.nowMs());
  await client.createRun({ body: { ...run, id } });
  return { id };
}

/**
 * Waits until a run has ended, through retries and suspensions. It follows the run's stream, so it polls nothing.
 * @param options.signal Stops waiting. The run goes on.
 * @returns The ended run: its state, cause, error and the reference of its result.
 * @throws Problem `run-not-found`; `StreamInterrupted` if the control plane cannot be reached for a long time.
 */
export async function waitForRun(
  client: Client,
  runId: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Run> {
  const params = { runId };
  for await (const { event } of client.streamRun({ params, query: { log: "end" } }, options))
    if (event === "end") return client.getRun({ params }, options);
  throw new UnexpectedAnswer(`run ${runId}`, {
    status: 200,
    reason: "its stream closed before the run ended",
  });
}
