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
/**
 * The parts of the whole wait after which the next worker is asked, or the same one again. The first is short, because a worker that lives
 * answers at once. An answer of a worker that was asked before still counts.
 */
const TURNS = [0.075, 0.175, 0.25, 0.5] as const;

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

/** Asks one worker after the other, until one sends the file or all have refused. */
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
  const { workspaceId, request, signal, waitMs } = args;
  const question = deps.relay.open({ workspaceId, text: JSON.stringify(request) });
  let left = args.workers;
  let fault: { readonly name: ReadFault; readonly by: StoreWorker } | null = null;
  try {
    for (const [turn, part] of TURNS.entries()) {
      const asked = left[turn % left.length];
      if (asked === undefined || signal.aborted) break;
      question.ask(asked.id);
      const answer = await question.hear({ waitMs: waitMs * part, signal });
      if (answer === null) continue;
      const read = readAnswer(answer, request.hash);
      if (typeof read !== "string") return read;
      const by = args.workers.find(({ id }) => id === answer.workerId) ?? asked;
      fault = { name: read, by };
      // All workers of a store see the same files.
      if (read === "gone") break;
      // A busy worker is asked again later, unless another one answers first.
      if (read === "busy") await question.quiet({ waitMs: waitMs * part, signal });
      else left = left.filter((one) => one !== by);
    }
  } finally {
    question.close();
  }
  if (signal.aborted)
    throw new Problem("unavailable", "The control plane is stopping. Send the request again.");
  // A reason says more than the silence of other workers.
  if (fault !== null) throw refused(fault);
  throw new Problem(
    "stored-timeout",
    `${nameOf(left)} did not send the stored body in ${waitMs / 1000} s. Check that it runs and reaches its store, and try again.`,
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

function nameOf(workers: readonly StoreWorker[]): string {
  const [first] = workers;
  return first === undefined ? "No worker" : `The worker "${first.name}" of the pool "${first.pool}"`;
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
