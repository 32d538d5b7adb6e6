import { createHash } from "node:crypto";
import {
  AnswerRead,
  LIMITS,
  Problem,
  type ProblemCode,
  READ_FAULTS,
  type ReadFault,
  type ReadRequest,
  type StoredContent,
} from "@towpath/contract";
import type { Deps, Scope, WorkerAnswer } from "../../kernel/index.ts";
import { type StoreWorker, selectStoreWorkers } from "../../pools/index.ts";
import { existingRun, readLogSources } from "../../runs/index.ts";
import { parseLogCursor } from "../read.ts";
import { findStored, findStoredLine } from "../store/stored.ts";

/** How many workers of a store are looked at. */
const WORKERS_MAX = 10;
/** How many of them are asked in turn. When one refuses, the next one moves up. */
const IN_TURN = 4;
/**
 * In so many turns of equal length a reader asks: the next worker, or the same one again. A worker that lives answers at once, and messages
 * between processes may be lost. An answer to an earlier turn still counts.
 */
const TURNS = 12;

/** What a reader asks for. */
interface Reading {
  readonly runId: string;
  readonly hash: string;
  /** A line whose text is in the body. Undefined: an artifact has it. */
  readonly at?: string | undefined;
  readonly signal: AbortSignal;
  /** The longest wait, milliseconds. @default LIMITS.storedWaitMs */
  readonly waitMs?: number;
}

/**
 * A body from the customer's store, as a worker sends it: ciphertext. It is in the memory of the control plane until it is answered, and
 * nowhere else.
 * @throws Problem `run-not-found`, `stored-not-found`, `store-unreachable`, `stored-gone`, `stored-refused`, `stored-timeout`,
 * `too-many-requests`.
 */
export async function readStored(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  { runId, hash, at, signal, waitMs = LIMITS.storedWaitMs }: Reading,
): Promise<StoredContent> {
  const { workspaceId } = scope;
  const from = deps.database.reads;
  const found = await findOfRun(deps, { workspaceId, runId, hash, at });
  if (found === null) {
    await existingRun(from, { workspaceId, runId });
    throw new Problem(
      "stored-not-found",
      `No artifact or log line of run ${runId} has the stored body ${hash}. A newer body of the artifact may have replaced it: load the run again.`,
    );
  }
  const { store } = found;
  const known = await selectStoreWorkers(from, {
    workspaceId,
    storeId: store,
    limit: WORKERS_MAX,
    clock: deps.clock,
  });
  const workers = known.filter(({ online, reads }) => online && reads);
  if (workers.length === 0) throw unreachable(store, known);
  return await askInTurn(deps, { workspaceId, workers, request: { runId, hash, store }, signal, waitMs });
}

/** The store of a stored body, if the run names it. */
async function findOfRun(
  deps: Deps,
  { at, ...named }: Omit<Reading, "signal" | "waitMs"> & { workspaceId: string },
): Promise<{ store: string } | null> {
  const from = deps.database.reads;
  if (at === undefined) return await findStored(from, named);
  const { attempt, line } = parseLogCursor(at);
  const { sources } = await readLogSources(from, deps.clock, named);
  const source = sources.find(({ ordinal }) => ordinal === attempt);
  return source === undefined ? null : await findStoredLine(from, { ...named, ...source, line });
}

/** Why a worker sends no file. */
interface Refused {
  readonly name: ReadFault;
  readonly by: StoreWorker;
}

/** The workers that can still answer, and what the others have said. */
class Asking {
  #left: readonly StoreWorker[];
  /** In this turn. */
  #asked = new Set<StoreWorker>();
  fault: Refused | null = null;

  constructor(workers: readonly StoreWorker[]) {
    this.#left = workers;
  }

  /** The worker whose turn it is. Null: all have refused. */
  turn(index: number): StoreWorker | null {
    const asked = this.#left[index % Math.min(this.#left.length, IN_TURN)] ?? null;
    this.#asked = new Set(asked === null ? [] : [asked]);
    return asked;
  }

  /** Notes a fault. @returns the worker to ask at once, if one was not asked in this turn */
  next(fault: Refused): StoreWorker | null {
    this.fault = fault;
    // A busy worker is asked again in a later turn.
    if (fault.name !== "busy") this.#left = this.#left.filter((one) => one !== fault.by);
    this.#asked.add(fault.by);
    const next = this.#left.find((one) => !this.#asked.has(one)) ?? null;
    if (next !== null) this.#asked.add(next);
    return next;
  }

  /** Whether no worker is left. All workers of a store see the same files. */
  get isOver(): boolean {
    return this.#left.length === 0 || this.fault?.name === "gone";
  }

  /** The first worker that can still answer. */
  get first(): StoreWorker | undefined {
    return this.#left[0];
  }
}

/** Asks one worker after the other, until one sends the file, all have refused, or the time is over. */
async function askInTurn(
  deps: Deps,
  args: {
    workspaceId: string;
    workers: readonly StoreWorker[];
    request: Omit<ReadRequest, "id">;
    signal: AbortSignal;
    waitMs: number;
  },
): Promise<StoredContent> {
  const { workspaceId, request, signal, waitMs, workers } = args;
  const question = deps.relay.open({ workspaceId, text: JSON.stringify(request) });
  const asking = new Asking(workers);
  const turnMs = Math.ceil(waitMs / TURNS);
  try {
    for (let turn = 0; turn < TURNS && !asking.isOver && !signal.aborted; turn++) {
      const over = AbortSignal.any([signal, AbortSignal.timeout(turnMs)]);
      let asked = asking.turn(turn);
      while (!asking.isOver && !over.aborted) {
        if (asked !== null) question.ask(asked.id);
        const answer = await question.hear({ waitMs: turnMs, signal: over });
        asked = null;
        if (answer === null) continue;
        const read = readAnswer(answer, request.hash);
        if (typeof read !== "string") return read;
        const by = workers.find(({ id }) => id === answer.workerId);
        if (by !== undefined) asked = asking.next({ name: read, by });
      }
    }
  } finally {
    question.close();
  }
  if (signal.aborted)
    throw new Problem("unavailable", "The control plane is stopping. Send the request again.");
  // A reason says more than the silence of other workers.
  if (asking.fault !== null) throw refused(asking.fault);
  throw new Problem(
    "stored-timeout",
    `${nameOf(asking.first)} did not send the stored body in ${waitMs / 1000} s. Check that it runs and reaches its store, and try again.`,
  );
}

/** The file of an answer, or why there is none. A file that is not the requested one is as good as damaged. */
function readAnswer({ text }: WorkerAnswer, hash: string): StoredContent | ReadFault {
  const { success, data } = AnswerRead.safeParse(JSON.parse(text));
  if (!success) return "damaged";
  if ("fault" in data) return data.fault;
  const isRequested = createHash("sha256").update(data.sealed).digest("hex") === hash;
  return isRequested ? { sealed: data.sealed } : "damaged";
}

const FAULT_CODES: Readonly<Partial<Record<ReadFault, ProblemCode>>> = {
  gone: "stored-gone",
  busy: "too-many-requests",
};

function refused({ name, by }: { name: ReadFault; by: StoreWorker }): Problem {
  const code = FAULT_CODES[name] ?? "stored-refused";
  return new Problem(code, `The worker "${by.name}" of the pool "${by.pool}" answers: ${READ_FAULTS[name]}`);
}

function nameOf(worker: StoreWorker | undefined): string {
  return worker === undefined ? "No worker" : `The worker "${worker.name}" of the pool "${worker.pool}"`;
}

function unreachable(store: string, known: readonly StoreWorker[]): Problem {
  const [last] = known;
  const next = "Start a worker that has this store and a workspace key in its configuration.";
  if (last === undefined)
    return new Problem("store-unreachable", `No worker has the store ${store}. ${next}`);
  const named = `The last worker with the store ${store} was "${last.name}" of the pool "${last.pool}"`;
  if (!last.online)
    return new Problem(
      "store-unreachable",
      `${named}, which is offline. Start it, or another worker with this store and a workspace key.`,
    );
  return new Problem(
    "store-unreachable",
    `${named}, which sends no stored bodies: it has no workspace key, or it is of an earlier release. ${next}`,
  );
}
