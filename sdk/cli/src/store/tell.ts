import { ConnectionFailure } from "@towpath/client";
import { Id, LIMITS, Problem } from "@towpath/contract";
import { Failure, toFailure } from "../failure.ts";
import type { Connection } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";

/** What the control plane was told of runs whose values are removed. */
export interface DeletionReport {
  readonly url: string;
  /** Refs that it deleted. */
  refs: number;
  /** Runs whose refs it was asked to delete, and knew. */
  runs: number;
  /** Runs that have not ended: they may go on from what they kept, so nothing of them is removed. */
  readonly live: string[];
}

/** A control plane that can be told; or why there is none, if anybody wants to know. */
export type Listener =
  | { readonly connection: Connection; readonly why: null }
  | { readonly connection: null; readonly why: string | null };

const same = (a: string, b: string) => a.replace(/\/+$/, "") === b.replace(/\/+$/, "");

/**
 * The control plane of a worker's runs, where this place has its address and a key.
 * @param workerUrl What the worker's configuration says that its control plane is: another is not told.
 */
export async function listenerOf(invocation: Invocation, workerUrl: string | undefined): Promise<Listener> {
  try {
    const connection = await invocation.connect();
    if (workerUrl === undefined || same(workerUrl, connection.url)) return { connection, why: null };
    return { connection: null, why: `this worker's is ${workerUrl}, and ${connection.url} is known here` };
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.exit !== "configuration") throw thrown;
    return { connection: null, why: thrown.message.replace(/\.$/, "") };
  }
}

function leftOut(thrown: unknown, connection: Connection): unknown {
  if (!(thrown instanceof Problem) && !(thrown instanceof ConnectionFailure)) return thrown;
  const failure = toFailure(thrown, connection);
  return new Failure(failure.message, {
    exit: failure.exit,
    code: failure.code,
    faults: failure.faults,
    cause: thrown,
    next: [...failure.next, "nothing was removed; `--only store` leaves the control plane out"],
  });
}

/**
 * Has the control plane delete the refs of runs. First this, then the values: a ref never means a value that is gone.
 * @returns The runs that may go, which is all but those that have not ended.
 */
export async function deleteRefs(
  connection: Connection,
  runIds: readonly string[],
  told: DeletionReport,
): Promise<Set<string>> {
  const may = new Set(runIds);
  // What else lies among the runs is none of the control plane's: a run on a laptop, for one.
  const known = runIds.filter((runId) => Id.safeParse(runId).success);
  for (let at = 0; at < known.length; at += LIMITS.bulkRuns) {
    const body = { runIds: known.slice(at, at + LIMITS.bulkRuns) };
    const { items } = await connection.client.deleteCheckpoints({ body }).catch((thrown: unknown) => {
      throw leftOut(thrown, connection);
    });
    for (const { runId, refs, problem } of items) {
      told.refs += refs;
      if (problem === null) told.runs += 1;
      if (problem?.code !== "run-transition-not-allowed") continue;
      told.live.push(runId);
      may.delete(runId);
    }
  }
  return may;
}
