import { setImmediate as turn } from "node:timers/promises";
import { isDue, type Json, lostAfterMs, Problem, type Run, type Trigger, uuidv7 } from "@towpath/contract";
import {
  checkRunParameters,
  forgetLatest,
  getLatestVersion,
  getVersion,
  likelyLatestVersion,
  type PinnedVersion,
} from "../../deployments/index.ts";
import {
  afterCommit,
  cleanInstant,
  type Deps,
  DUE,
  inTransaction,
  reachDisk,
  type Scope,
  type Tx,
  wakeAfterCommit,
  wakeSequencer,
} from "../../kernel/index.ts";
import { checkQueue, type PoolIdentity } from "../../pools/index.ts";
import type { AssignedAttempt, Place } from "../moves/claim.ts";
import { findRunKey, insertRun, type MadeRun, type NewRun, takeIdempotencyKey } from "../moves/create.ts";
import { fingerprint } from "../moves/fingerprint.ts";
import { NO_NEEDS } from "../needs.ts";
import { getRun } from "../read/read.ts";
import type { RunRow } from "../table.ts";
import { awaitedRunOf } from "../wire.ts";
import { enterAnew } from "./collide.ts";

/** A request for a run, parsed by the contract. */
export interface RunRequest {
  readonly id: string;
  readonly deployment: string;
  readonly parameters: { [key: string]: Json };
  readonly idempotencyKey?: string | undefined;
  readonly scheduledAt?: string | undefined;
  readonly priority?: number | undefined;
  readonly queue?: string | undefined;
  readonly tags: readonly string[];
  /** How long after it is due it may be without a start. @default what its deployment says */
  readonly expireAfterMs?: number | undefined;
}

/**
 * Asks for one execution of a deployment's latest version, on behalf of a person or key. Idempotent by run id and by
 * idempotency key: the run that is there is answered, in whatever state it is.
 * @throws Problem `run-id-conflict` if the id or key stands for another request; `deployment-not-found`;
 * `invalid-parameters` with faults; `queue-not-found`; `payload-too-large`.
 */
export async function createRun(
  deps: Deps,
  scope: Scope,
  request: RunRequest,
  dispatchers?: Waiting,
): Promise<Run> {
  const trigger: Trigger = { kind: "person", name: scope.actor.name };
  const scheduledAt = request.scheduledAt && cleanInstant(request.scheduledAt).toISOString();
  const asked = { workspaceId: scope.workspaceId, request: { ...request, scheduledAt }, trigger };
  const isPlain = request.idempotencyKey === undefined && request.queue === undefined;
  const made = isPlain ? await createAtOnce(deps, asked, dispatchers) : null;
  if (made !== null && isAwaited(made, dispatchers)) return awaitedRunOf(made.row, made.by);
  const runId = made?.row.id ?? (await inTransaction(deps, (tx) => createIn(tx, deps, asked)));
  // What is found may be what another request has made and not answered yet.
  if (made === null) await reachDisk(deps.database.db);
  return getRun(deps, scope, { runId, from: deps.database.db });
}

/** A place of a waiting poll, kept for one run that is about to be made. One of the two is called, once. */
export interface KeptPlace {
  readonly place: Place;
  /** The run was made, and given to this place or not: null. */
  settle(given: AssignedAttempt | null): void;
  /** Nobody knows whether the run was made, and given to this place. */
  doubt(): void;
}

/** The polls that wait in this process. */
export interface Waiting {
  /** Whether a worker with a free slot waits at a pool: a run that becomes ready there is taken at once. */
  areWaiting(poolId: string): boolean;
  /** Keeps a place of a poll that waits at a pool, for a run that is about to be made. Null: nobody waits. */
  keep(poolId: string): KeptPlace | null;
}

/** A run that was just created, and the slot that it got at once. Null: it waits in its queue. */
interface Made {
  readonly row: RunRow;
  readonly by: Place | null;
}

/** Whether a run that was just made is taken at once, or was. What else it might wait for need not be read then. */
function isAwaited(made: Made, waiting: Waiting | undefined): made is Made & { row: { attemptId: string } } {
  const { row } = made;
  // Whether one of them has what it needs is another question.
  const isPlain = row.needs === NO_NEEDS;
  return (
    row.attemptId !== null && (made.by !== null || (isPlain && waiting?.areWaiting(row.poolId) === true))
  );
}

/** What is asked for, in which workspace, and on whose behalf. */
interface CreateRequest {
  readonly workspaceId: string;
  readonly request: RunRequest;
  readonly trigger: Trigger;
  /** The version to run, of that deployment. @default the latest */
  readonly versionId?: string;
  /** Of a run that is one task of another, by that one's signed word: which, and where. It takes no parameters. */
  readonly task?: { readonly name: string; readonly pool: PoolIdentity };
}

/**
 * The short way, for what almost every request is: a new id and nothing in its way. One statement is its own transaction,
 * and refuses a version that is no longer the latest, or a run that needs slots.
 * If a worker waits for work in this process, the same statement gives the run to it.
 * @returns null if it is not so simple: nothing was changed, and `createIn` finds out what there is.
 */
async function createAtOnce(
  deps: Deps,
  args: CreateRequest,
  waiting: Waiting | undefined,
): Promise<Made | null> {
  const name = { workspaceId: args.workspaceId, name: args.request.deployment };
  // A refusal may be of an earlier version, and a repeated request is answered with its run whatever this one says.
  const read = () => likelyLatestVersion(deps.database, name);
  const version = await pinned(deps, { ...args, tx: null }, read).catch(onlyProblems);
  const kept =
    version === null || args.request.scheduledAt !== undefined ? null : waiting?.keep(version.poolId);
  const made = version && (await insertKept(deps, { ...args, version }, kept ?? null));
  if (made === null) {
    forgetLatest(deps.database, name);
    return null;
  }
  const { row, given } = made;
  if (given === null && row.attemptId !== null) deps.wakes.publish("pool", [row.poolId]);
  else if (given === null) deps.wakes.publish("change", [DUE]);
  wakeSequencer(deps);
  return { row, by: given && kept ? kept.place : null };
}

/**
 * Makes a plain run for a place that was kept. Whatever comes of it, the place is no longer kept then. Its worker hears of the run before
 * that is on disk; its creator does not.
 */
async function insertKept(
  deps: Deps,
  args: CreateRequest & { version: PinnedVersion },
  kept: KeptPlace | null,
): Promise<MadeRun | null> {
  const run = newRun(deps, { ...args, onlyIfPlain: true, place: kept?.place ?? null });
  let made: MadeRun | null;
  try {
    made = await insertRun(deps.database.db, deps.clock, run);
  } catch (error) {
    kept?.doubt();
    throw error;
  }
  kept?.settle(made?.given ?? null);
  if (kept === null) return made;
  // The answer to the worker is on its way before the database is asked for more.
  await turn();
  await reachDisk(deps.database.db);
  return made;
}

/**
 * Creates a run within a transaction, or finds the one that is there. Keys are taken in a fixed order (idempotency
 * key, then id), so that racing repeats wait for each other instead of locking each other out.
 * @returns The id of the run, which an idempotency key may have given to an earlier request.
 */
export async function createIn(tx: Tx, deps: Deps, args: CreateRequest): Promise<string> {
  const { workspaceId, request } = args;
  const print = fingerprintOf(request);
  const known = await findRunKey(tx, { workspaceId, runId: request.id });
  if (known !== null) return sameRequest(request.id, known.fingerprint, print);
  if (request.idempotencyKey !== undefined) {
    const key = request.idempotencyKey;
    const holder = await takeIdempotencyKey(tx, { workspaceId, key, runId: request.id });
    if (holder !== request.id) {
      const held = await findRunKey(tx, { workspaceId, runId: holder });
      return sameRequest(holder, held?.fingerprint ?? new Uint8Array(), print);
    }
  }
  const { versionId } = args;
  const version = await pinned(deps, { ...args, tx }, () =>
    versionId === undefined
      ? getLatestVersion(tx, { workspaceId, name: request.deployment })
      : getVersion(tx, { workspaceId, versionId }),
  );
  const pool = args.task?.pool ?? { id: version.poolId, name: version.pool };
  const { queue } = request;
  if (queue !== undefined) await checkQueue(tx, { workspaceId, pool, queue });
  const made = await insertRun(
    tx,
    deps.clock,
    newRun(deps, {
      ...args,
      version: { ...version, poolId: pool.id, pool: pool.name },
      onlyIfPlain: false,
      place: null,
    }),
  );
  if (made === null) {
    const winner = await findRunKey(tx, { workspaceId, runId: request.id });
    return sameRequest(request.id, winner?.fingerprint ?? new Uint8Array(), print);
  }
  const { row, waits } = made;
  if (waits) await enterAnew(tx, deps, { workspaceId, runIds: [row.id] });
  else if (row.attemptId !== null) wakeAfterCommit(tx, "pool", row.poolId);
  else wakeAfterCommit(tx, "change", DUE);
  afterCommit(tx, "changes of runs", wakeSequencer);
  return request.id;
}

function newRun(deps: Deps, args: CreateRequest & Pick<NewRun, "version" | "onlyIfPlain" | "place">): NewRun {
  const { request, version, onlyIfPlain, place } = args;
  return {
    workspaceId: args.workspaceId,
    id: request.id,
    fingerprint: fingerprintOf(request),
    deployment: request.deployment,
    version,
    onlyIfPlain,
    place,
    claimLeaseMs: deps.config.claimLeaseMs,
    task: args.task?.name ?? null,
    queue: args.task === undefined ? queueOf(request, version) : null,
    trigger: args.trigger,
    priority: request.priority ?? version.spec.priority,
    tags: request.tags,
    parameters: request.parameters,
    lostAfterMs: lostAfterMs(version.spec),
    expireAfterMs: args.task === undefined ? (request.expireAfterMs ?? version.spec.expireAfterMs) : null,
    // A run that is one task of another ends with that one.
    runTimeoutMs: args.task === undefined ? version.spec.runTimeoutMs : null,
    attemptId: uuidv7(deps.clock.nowMs()),
    scheduledAt: request.scheduledAt ?? null,
  };
}

/** @returns null for a refusal; what is no refusal goes on. */
function onlyProblems(error: unknown): null {
  if (error instanceof Problem) return null;
  throw error;
}

/**
 * The queue that a run is to wait in: what is asked for, else what its deployment says. If that one has been deleted
 * since, it waits as in none.
 */
export function queueOf(request: Pick<RunRequest, "queue">, { spec }: PinnedVersion): string | null {
  return request.queue ?? spec.queue;
}

/** The version to pin, if the parameters satisfy it. */
async function pinned(
  deps: Deps,
  args: CreateRequest & { tx: Tx | null },
  read: () => Promise<PinnedVersion>,
): Promise<PinnedVersion> {
  const { workspaceId, tx } = args;
  const { parameters } = args.request;
  const version = await read();
  // A flow that makes the parameters of its scheduled runs itself does so on the worker, and checks them there.
  if (args.task !== undefined || (isDue(args.trigger) && version.spec.dueInput)) return version;
  await checkRunParameters(deps, { workspaceId, tx, version, parameters });
  return version;
}

/** What a request is known again by. */
export function fingerprintOf(request: RunRequest): Uint8Array {
  return fingerprint({
    deployment: request.deployment,
    parameters: request.parameters,
    idempotencyKey: request.idempotencyKey,
    scheduledAt: request.scheduledAt,
    priority: request.priority,
    queue: request.queue,
    expireAfterMs: request.expireAfterMs,
    tags: [...request.tags],
  });
}

function sameRequest(runId: string, stored: Uint8Array, asked: Uint8Array): string {
  if (Buffer.compare(stored, asked) === 0) return runId;
  throw new Problem("run-id-conflict", `Run ${runId} was created by a different request.`);
}
