import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@towpath/contract";
import { sql } from "#sql";
import type { Tx } from "./database.ts";
import { isDatabaseFault, sqlState } from "./database-errors.ts";
import type { Deps } from "./deps.ts";
import type { WakeTopic } from "./wakes.ts";

/** The dependencies of a transaction: the database, and the wake-ups after its commit. */
export type TransactionDeps = Pick<Deps, "database" | "wakes">;

/** How often a transaction that lost a race is tried in all. */
const TRIES_MAX = 5;
const RETRY_BACKOFF = { firstMs: 30, mostMs: 120 } as const;

/** Serialization failure and deadlock: the same transaction may succeed when repeated. */
const RETRYABLE_STATES = ["40001", "40P01"];

/** An action after the commit of a transaction. */
type AfterCommit = (deps: TransactionDeps) => void;

/** The actions of transactions after their commits. Weak, so that a rollback leaves nothing. */
const afterCommits = new WeakMap<object, Map<string, AfterCommit>>();

/**
 * Runs `act` once this transaction has committed, and never after a rollback. A transaction has one action per name.
 * Only for transactions of `inTransaction`.
 */
export function afterCommit(tx: Tx, name: string, act: AfterCommit): void {
  const actions = afterCommits.get(tx) ?? new Map<string, AfterCommit>();
  actions.set(name, act);
  afterCommits.set(tx, actions);
}

/**
 * Waits for branches of one transaction, whose statements are sent without waiting for each other's answers. It waits
 * for all of them even if one fails: a statement after the rollback would be outside the transaction.
 * @throws the error of the first branch that has one.
 */
export async function inParallel<const Branches extends readonly Promise<unknown>[]>(
  branches: Branches,
): Promise<{ -readonly [Index in keyof Branches]: Awaited<Branches[Index]> }> {
  await Promise.allSettled(branches);
  return Promise.all(branches);
}

/** The last actions of transactions before their commits. */
const beforeCommits = new WeakMap<object, Map<string, () => Promise<void>>>();

/**
 * Runs `act` as a last step of this transaction, so that one statement writes what its steps collected. A transaction
 * has one action per name: later ones are ignored. Only for transactions of `inTransaction`.
 */
export function beforeCommit(tx: Tx, name: string, act: () => Promise<void>): void {
  const actions = beforeCommits.get(tx) ?? new Map<string, () => Promise<void>>();
  if (!actions.has(name)) actions.set(name, act);
  beforeCommits.set(tx, actions);
}

/** How often a transaction is repeated for results from outside. After that it waits inside the transaction. */
const OUTSIDE_MAX = 8;

/** Results from outside a transaction, for its work. */
interface Outside {
  readonly got: Map<string, unknown>;
  left: number;
}

const outsides = new WeakMap<object, Outside>();

/** The transaction must be rolled back and repeated once a result has arrived. Never leaves this module. */
class RestartNeeded extends Error {
  override readonly name = "NeededFirst";
  readonly key: string;
  readonly get: () => Promise<unknown>;
  constructor(key: string, get: () => Promise<unknown>) {
    super(key);
    this.key = key;
    this.get = get;
  }
}

/**
 * Computes something slow, which is not in the database, without holding a connection: the transaction is rolled back,
 * and repeated with the result. Only for transactions of `inTransaction`; others wait inside the transaction.
 * @param key Identifies the result within this transaction.
 */
export async function outside<T>(tx: Tx, key: string, get: () => Promise<T>): Promise<T> {
  const known = outsides.get(tx);
  // A result under this key always came from such a `get`.
  if (known?.got.has(key)) return known.got.get(key) as T;
  if (known === undefined || known.left <= 0) return get();
  throw new RestartNeeded(key, get);
}

/**
 * Runs a part of a transaction and undoes it if it answers false; its locks are then released. No other part of the
 * transaction may run meanwhile.
 */
export async function undoUnless(tx: Tx, part: () => Promise<boolean>): Promise<boolean> {
  await tx.execute(sql`savepoint part`);
  const done = await part();
  await tx.execute(done ? sql`release savepoint part` : sql`rollback to savepoint part`);
  return done;
}

/** Whether a failure ends the whole transaction: it must be repeated, or the database is away. */
function endsAll(error: unknown): boolean {
  return error instanceof RestartNeeded || isRetryable(error) || isDatabaseFault(error);
}

function isRetryable(error: unknown): boolean {
  return RETRYABLE_STATES.includes(sqlState(error) ?? "");
}

/**
 * Runs a part of a transaction and undoes it if it fails; the transaction then continues. The part's actions before a
 * commit run at its end. No other part of the transaction may run meanwhile.
 * @returns the failure, else null.
 * @throws What ends the whole transaction: a lost race, or a database that is away.
 */
export async function trySavepoint(tx: Tx, part: (part: Tx) => Promise<void>): Promise<unknown> {
  try {
    await tx.transaction(async (inner) => {
      const got = outsides.get(tx);
      if (got !== undefined) outsides.set(inner, got);
      await part(inner);
      for (const act of beforeCommits.get(inner)?.values() ?? []) await act();
      for (const [name, act] of afterCommits.get(inner) ?? []) afterCommit(tx, name, act);
    });
    return null;
  } catch (error) {
    if (endsAll(error)) throw error;
    return error;
  }
}

async function runOnce<T>(deps: TransactionDeps, work: (tx: Tx) => Promise<T>, got: Outside): Promise<T> {
  let actions: Map<string, AfterCommit> | undefined;
  const answer = await deps.database.db.transaction(async (tx) => {
    outsides.set(tx, got);
    const result = await work(tx);
    for (const act of beforeCommits.get(tx)?.values() ?? []) await act();
    actions = afterCommits.get(tx);
    return result;
  });
  for (const act of actions?.values() ?? []) act(deps);
  return answer;
}

/**
 * Runs `work` in one transaction (read committed) and commits it. Deadlocks and serialization failures repeat the whole
 * of `work` a few times, so it must have no effect outside the transaction.
 */
export async function inTransaction<T>(deps: TransactionDeps, work: (tx: Tx) => Promise<T>): Promise<T> {
  const got: Outside = { got: new Map(), left: OUTSIDE_MAX };
  for (let tried = 1; ; ) {
    try {
      return await runOnce(deps, work, got);
    } catch (error) {
      if (error instanceof RestartNeeded) {
        got.left -= 1;
        got.got.set(error.key, await error.get());
        continue;
      }
      if (tried >= TRIES_MAX || !isRetryable(error)) throw error;
      await delay(backoffMs(tried - 1, RETRY_BACKOFF, Math.random));
      tried += 1;
    }
  }
}

/** Sends a wake-up once this transaction has committed. The kernel combines the wake-ups of many transactions. */
export function wakeAfterCommit(tx: Tx, topic: WakeTopic, key: string): void {
  afterCommit(tx, `wake ${topic} ${key}`, (deps) => deps.wakes.publish(topic, [key]));
}

/**
 * Wakes the processes where this worker polls, because it has a command. Workers and pools share a topic: both are
 * keyed by ids, and a poll listens to both.
 */
export function wakeWorkerAfterCommit(tx: Tx, workerId: string | null): void {
  if (workerId !== null) wakeAfterCommit(tx, "pool", workerId);
}
