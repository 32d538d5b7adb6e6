import {
  comparableValue,
  isDue,
  type Json,
  lostAfterMs,
  Problem,
  type Trigger,
  uuidv7,
} from "@towpath/contract";
import {
  checkRunParameters,
  getLatestVersion,
  getVersion,
  type PinnedVersion,
} from "../../deployments/index.ts";
import { afterCommit, type Deps, DUE, type Tx, wakeAfterCommit, wakeSequencer } from "../../kernel/index.ts";
import { checkQueue, type PoolIdentity } from "../../pools/index.ts";
import { findRunKey, insertRun, type NewRun, takeIdempotencyKey } from "../moves/create.ts";
import { fingerprint } from "../moves/fingerprint.ts";
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
  /** How long after its due time the run may stay without a start. @default its deployment's value */
  readonly expireAfterMs?: number | undefined;
}

/** The request, its workspace and its trigger. */
export interface CreateRequest {
  readonly workspaceId: string;
  readonly request: RunRequest;
  readonly trigger: Trigger;
  /** The version to run, of that deployment. @default the latest */
  readonly versionId?: string;
  /**
   * For a run that is one task of another run: the task and its pool, both signed in the parent's spec. It takes no
   * parameters.
   */
  readonly task?: { readonly name: string; readonly pool: PoolIdentity };
}

/**
 * Creates a run within a transaction, or finds the existing one. Locks keys in a fixed order (idempotency key, then
 * id), so that racing repeats wait for each other and cannot deadlock.
 * @returns The id of the run, which may be an earlier request's with the same idempotency key.
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
      slot: null,
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

export function newRun(
  deps: Deps,
  args: CreateRequest & Pick<NewRun, "version" | "onlyIfPlain" | "slot">,
): NewRun {
  const { request, version, onlyIfPlain, slot } = args;
  return {
    workspaceId: args.workspaceId,
    id: request.id,
    fingerprint: fingerprintOf(request),
    deployment: request.deployment,
    version,
    onlyIfPlain,
    slot,
    claimLeaseMs: deps.config.claimLeaseMs,
    task: args.task?.name ?? null,
    queue: args.task === undefined ? queueOf(request, version) : null,
    trigger: args.trigger,
    priority: request.priority ?? version.spec.priority,
    tags: args.task === undefined ? tagsOf(request, version) : request.tags,
    parameters: request.parameters,
    lostAfterMs: lostAfterMs(version.spec),
    expireAfterMs: args.task === undefined ? (request.expireAfterMs ?? version.spec.expireAfterMs) : null,
    // A run that is one task of another ends with its parent.
    runTimeoutMs: args.task === undefined ? version.spec.runTimeoutMs : null,
    attemptId: uuidv7(deps.clock.nowMs()),
    scheduledAt: request.scheduledAt ?? null,
  };
}

/**
 * The queue of a run: the requested one, else its deployment's. Null if the deployment's queue has been deleted since.
 */
export function queueOf(request: Pick<RunRequest, "queue">, { spec }: PinnedVersion): string | null {
  return request.queue ?? spec.queue;
}

/** The tags of a run: those of its deployment, and the requested ones. */
export function tagsOf({ tags }: Pick<RunRequest, "tags">, { spec }: PinnedVersion): readonly string[] {
  return spec.tags === undefined ? tags : [...new Set([...spec.tags, ...tags])];
}

/** The version to pin, if the parameters match its schema. */
export async function pinned(
  deps: Deps,
  args: CreateRequest & { tx: Tx | null },
  read: () => Promise<PinnedVersion>,
): Promise<PinnedVersion> {
  const { workspaceId, tx } = args;
  const { parameters } = args.request;
  const version = await read();
  // Some flows make the parameters of their scheduled runs. Then the worker makes and checks them.
  if (args.task !== undefined || (isDue(args.trigger) && version.spec.dueInput)) return version;
  await checkRunParameters(deps, { workspaceId, tx, version, parameters });
  return version;
}

/** The fields that identify a repeated request. */
export function fingerprintOf(request: RunRequest): Uint8Array {
  return fingerprint({
    deployment: request.deployment,
    parameters: comparableValue(request.parameters),
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
