import { type OpenSession, Problem, type Session, WORKER_PROTOCOLS } from "@towpath/contract";
import { issueWorkerToken, WORKER_TOKEN_MS } from "../identity/index.ts";
import {
  type Deps,
  DUE,
  inTransaction,
  keepQuota,
  type Queryable,
  type Scope,
  sqlState,
  type Tx,
  VERSION,
  type WorkerScope,
  wakeAfterCommit,
  writeChanges,
} from "../kernel/index.ts";
import { poolNotFound } from "./pools.ts";
import {
  deleteNeverPolled,
  isKnownWorker,
  markReplaced,
  markStopped,
  type NotedWorker,
  type SeenPoll,
  seenLately,
  selectPool,
  updateSeen,
  upsertWorker,
} from "./store.ts";
import { worker } from "./table.ts";

/** The newest protocol that both sides support. */
function negotiate({ protocols: offered, version }: Pick<OpenSession, "protocols" | "version">): number {
  const shared = WORKER_PROTOCOLS.filter((protocol) => offered.includes(protocol));
  const newest = shared.at(-1);
  if (newest !== undefined) return newest;
  const ours = WORKER_PROTOCOLS.join(", ");
  const older = Math.max(...offered) < Math.min(...WORKER_PROTOCOLS);
  const update = older
    ? `Update the worker to towpath ${VERSION}, as the control plane is.`
    : `Update the control plane to towpath ${version}, as the worker is.`;
  throw new Problem(
    "protocol-unsupported",
    `The control plane (towpath ${VERSION}) supports worker protocol ${ours}; the worker (towpath ${version}) supports ${offered.join(", ")}. ${update}`,
  );
}

/** The requested pool, if the key may serve it. */
async function poolFor(deps: Deps, args: { scope: Scope; keyPool: string | null; input: OpenSession }) {
  const { input, keyPool } = args;
  if (keyPool !== null && keyPool !== input.pool)
    throw new Problem("forbidden", `This key is for the work pool "${keyPool}", not "${input.pool}".`);
  const which = { workspaceId: args.scope.workspaceId, name: input.pool };
  const row = await selectPool(deps.database.db, which);
  if (row === null) throw await poolNotFound(deps.database.db, { ...which, path: "pool" });
  if (row.type !== input.poolType)
    throw new Problem(
      "pool-type-mismatch",
      `The work pool "${row.name}" is of type ${row.type}; the worker is of type ${input.poolType}.`,
    );
  return row;
}

/** @throws Problem `no-workspace-key` for a worker that could not seal what it reports. */
function refuseWithoutKey({ scope, input }: { scope: Scope; input: OpenSession }): void {
  if (!scope.sealed || (input.workspaceKeys ?? []).length > 0) return;
  throw new Problem(
    "no-workspace-key",
    'Add "workspaceKeys" to the worker\'s configuration, such as [{"file": "/etc/towpath/workspace.key"}], and start it again.',
  );
}

/** The most workers that are deleted at once to make room. */
const IDLE_WORKERS_MAX = 10_000;

const isQuotaProblem = (error: unknown): error is Problem =>
  error instanceof Problem && error.code === "quota-exceeded";

/**
 * Checks the quota of workers. If it is exceeded, workers that never polled are deleted: a worker without a state
 * directory that crashes at each start leaves many of them.
 * @throws Problem `quota-exceeded`.
 */
async function keepRoom(tx: Tx, deps: Deps, workspaceId: string): Promise<void> {
  const where = seenLately(deps.clock);
  const keep = () => keepQuota(tx, deps, { quota: "workers", workspaceId, table: worker, where });
  try {
    await keep();
  } catch (error) {
    if (!isQuotaProblem(error)) throw error;
    const { clock } = deps;
    if ((await deleteNeverPolled(tx, { workspaceId, limit: IDLE_WORKERS_MAX, clock })) === 0) throw error;
    await keep();
  }
}

/** Marks the workers that a new worker with a stable name replaces. Their attempts are lost when their leases have ended. */
async function replaceEarlier(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; poolId: string; workerId: string; name: string },
): Promise<void> {
  const { workspaceId } = args;
  const replaced = await markReplaced(tx, { ...args, clock: deps.clock });
  await writeChanges(
    tx,
    replaced.map((entityId) => ({ workspaceId, kind: "worker" as const, entityId })),
  );
  wakeAfterCommit(tx, "change", DUE);
}

const FOREIGN_KEY_VIOLATION = "23503";

/** How long a workspace is cached as full, milliseconds. */
const FULL_MS = 5_000;
/** The most workspaces that are cached as full. */
const FULL_WORKSPACES_MAX = 10_000;

/** Workspaces that had no room for another worker a moment ago. Refuses new workers without a transaction. */
export class FullWorkspaces {
  readonly #full = new Map<string, { problem: Problem; untilMs: number }>();

  /** @throws Problem `quota-exceeded` for a new worker of a full workspace. */
  async refuse(
    deps: Pick<Deps, "database" | "clock">,
    args: { workspaceId: string; workerId: string },
  ): Promise<void> {
    const full = this.#full.get(args.workspaceId);
    if (full === undefined) return;
    if (deps.clock.nowMs() >= full.untilMs) this.#full.delete(args.workspaceId);
    else if (!(await isKnownWorker(deps.database.db, args))) throw full.problem;
  }

  /** Caches the workspace as full if the error says so. */
  note(deps: Pick<Deps, "clock">, { workspaceId, error }: { workspaceId: string; error: unknown }): void {
    if (!isQuotaProblem(error)) return;
    if (this.#full.size >= FULL_WORKSPACES_MAX) this.#full.clear();
    this.#full.set(workspaceId, { problem: error, untilMs: deps.clock.nowMs() + FULL_MS });
  }
}

/**
 * Exchanges a worker key for a session token, and records the worker. The token is for one pool and lasts ten minutes.
 * @throws Problem `forbidden`, `pool-not-found`, `pool-type-mismatch`, `protocol-unsupported`, `quota-exceeded`, `no-workspace-key`.
 */
export async function openSession(
  deps: Deps,
  args: { scope: Scope; keyPool: string | null; input: OpenSession; full?: FullWorkspaces },
): Promise<Session> {
  const { scope, input } = args;
  const protocol = negotiate(input);
  const row = await poolFor(deps, args);
  refuseWithoutKey(args);
  const { full = new FullWorkspaces() } = args;
  await full.refuse(deps, { workspaceId: scope.workspaceId, workerId: input.workerId });
  const bound = { workspaceId: scope.workspaceId, poolId: row.id, keyId: scope.actor.id };
  const { name, version, capacity, amounts = {}, stores = {}, workerId, process } = input;
  const { secrets = null, registries = null, wall = null, namespaces = null, workspaceKeys = null } = input;
  const { reads = null } = input;
  const generation = await inTransaction(deps, async (tx) => {
    await writeChanges(tx, [{ workspaceId: scope.workspaceId, kind: "worker", entityId: workerId }]);
    const noted = await upsertWorker(tx, {
      ...bound,
      id: workerId,
      name,
      version,
      capacity,
      amounts,
      stores,
      secrets,
      registries,
      wall,
      namespaces,
      workspaceKeys,
      reads,
      protocol,
      process,
      keyPool: args.keyPool,
      clock: deps.clock,
    });
    if (noted?.isNew) await keepRoom(tx, deps, scope.workspaceId);
    if (noted?.isNew && input.stableName) await replaceEarlier(tx, deps, { ...bound, workerId, name });
    return noted?.generation ?? null;
  }).catch(async (error: unknown) => {
    // The pool was deleted meanwhile.
    if (sqlState(error) === FOREIGN_KEY_VIOLATION)
      throw await poolNotFound(deps.database.db, {
        workspaceId: scope.workspaceId,
        name: input.pool,
        path: "pool",
      });
    full.note(deps, { workspaceId: scope.workspaceId, error });
    throw error;
  });
  if (generation === null)
    throw new Problem("forbidden", "This worker id belongs to a worker of another pool and key.");
  const { id: incarnation } = await deps.incarnations.current();
  return {
    token: await issueWorkerToken(deps, { ...bound, workerId, generation, incarnation, protocol }),
    expiresInMs: WORKER_TOKEN_MS,
    protocol,
    workspaceId: scope.workspaceId,
    poolId: row.id,
    incarnation,
    renewIntervalMs: deps.config.renewIntervalMs,
    sealed: scope.sealed === true,
    reads: true,
  };
}

/**
 * Records that a worker has stopped, so that it is offline at once. A repeated call changes nothing.
 * @returns whether it is recorded: not if the worker has started again since, or still holds an attempt.
 */
export async function closeSession(
  deps: Deps,
  { workspaceId, workerId, generation }: WorkerScope,
): Promise<{ stopped: boolean }> {
  const stopped = await inTransaction(deps, async (tx) => {
    const which = { workspaceId, workerId, generation, clock: deps.clock };
    if (!(await markStopped(tx, which))) return false;
    await writeChanges(tx, [{ workspaceId, kind: "worker", entityId: workerId }]);
    return true;
  });
  return { stopped };
}

/** A recorded poll: its worker, null if a later poll is recorded, or the problem that the session has ended. */
export type Noted = Pick<NotedWorker, "name" | "offeringMs"> | Problem | null;

/**
 * Records polls of a workspace's workers, and whether the workers are draining or paused.
 * @returns For each poll, in order: its worker; null if a later poll of the worker is recorded; or Problem
 * `session-expired` if the worker has restarted since or was deleted.
 */
export async function noteWorkers(
  deps: Pick<Deps, "clock">,
  to: Queryable,
  args: { workspaceId: string; polls: readonly SeenPoll[] },
): Promise<Noted[]> {
  const noted = await updateSeen(to, { ...args, clock: deps.clock });
  const byId = new Map(noted.map((worker) => [worker.id, worker]));
  return args.polls.map(({ workerId, generation }) => {
    const worker = byId.get(workerId);
    if (worker?.latest) return { name: worker.name, offeringMs: worker.offeringMs };
    return worker?.generation === generation ? null : sessionOver();
  });
}

function sessionOver(): Problem {
  return new Problem(
    "session-expired",
    "The worker has opened another session since. Exchange the key again.",
  );
}
