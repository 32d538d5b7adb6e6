import { ConnectionFailure } from "@towpath/client";
import { Id, LIMITS, Problem } from "@towpath/contract";
import { Failure, toFailure } from "../failure.ts";
import type { Connection } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";

/** What the control plane deleted for runs whose values are removed. */
export interface DeletionReport {
  readonly url: string;
  /** The number of deleted refs. */
  refs: number;
  /** Runs that it knew and whose refs it was asked to delete. */
  runs: number;
  /** Runs that have not ended. They may need their values, so nothing of them is removed. */
  readonly live: string[];
}

/** A control plane whose refs can be deleted, or why there is none. */
export type Listener =
  | { readonly connection: Connection; readonly why: null }
  | { readonly connection: null; readonly why: string | null };

const same = (a: string, b: string) => a.replace(/\/+$/, "") === b.replace(/\/+$/, "");

/**
 * Finds the control plane of a worker's runs, if this machine has its address and a key.
 * @param workerUrl The control plane in the worker's configuration. Refs on another one are not deleted.
 */
export async function listenerOf(invocation: Invocation, workerUrl: string | undefined): Promise<Listener> {
  try {
    const connection = await invocation.connect();
    if (workerUrl === undefined || same(workerUrl, connection.url)) return { connection, why: null };
    return {
      connection: null,
      why: `the worker uses ${workerUrl}, but this machine has a key for ${connection.url}`,
    };
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
    next: [...failure.next, "nothing was deleted; `--only store` leaves out the control plane"],
  });
}

/**
 * Has the control plane delete the refs of runs. This comes before the values, so that no ref points to a missing value.
 * @returns The runs whose values may be removed: all that have ended.
 */
export async function deleteRefs(
  connection: Connection,
  runIds: readonly string[],
  told: DeletionReport,
): Promise<Set<string>> {
  const may = new Set(runIds);
  // The store may also hold runs that the control plane does not know, such as runs on a laptop.
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
