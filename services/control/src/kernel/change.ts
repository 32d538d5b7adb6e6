import { and, asc, eq, gt, isNotNull, sql } from "#sql";
import type { Queryable, Tx } from "./database.ts";
import type { Deps } from "./deps.ts";
import { prepared } from "./prepared.ts";
import { change, changeFeed } from "./table.ts";
import { afterCommit, beforeCommit } from "./transaction.ts";

/** The key of topic `change` that wakes the sequencer. Readers subscribe to `run`, or to `change` by workspace. */
export const UNSTAMPED = "unstamped";

/** The most changes that one call writes or reads. */
export const CHANGES_MAX = 5_000;

/** A change for readers of the feed. It names the thing that changed; readers fetch what they show. */
export interface NewChange {
  readonly workspaceId: string;
  /** The kind of the changed thing, e.g. `run`, `task`, `attempt`. */
  readonly kind: string;
  readonly runId?: string;
  readonly entityId?: string;
  /** Small facts for readers. Never parameters, values or secrets. */
  readonly data?: Record<string, unknown>;
}

/** One row of the feed. Positions rise without gaps. */
export interface Change {
  readonly position: number;
  readonly workspaceId: string;
  readonly kind: string;
  readonly runId: string | null;
  readonly entityId: string | null;
  readonly data: Record<string, unknown>;
  readonly createdAt: Date;
}

/** Changes that transactions have collected and not written yet. Weak, so that a rollback leaves nothing. */
const gathered = new WeakMap<object, NewChange[]>();

/**
 * Writes changes in the transaction that makes them. All changes of a transaction go into one statement, its last.
 * After the commit it wakes the sequencer, which makes them visible to readers. Only for transactions of
 * `inTransaction`.
 */
export async function writeChanges(tx: Tx, changes: readonly NewChange[]): Promise<void> {
  if (changes.length === 0) return;
  const pending = gathered.get(tx) ?? [];
  pending.push(...changes);
  gathered.set(tx, pending);
  beforeCommit(tx, UNSTAMPED, () => insertChanges(tx, pending));
  afterCommit(tx, UNSTAMPED, wakeSequencer);
}

/** Asks the sequencer to stamp committed changes. */
export function wakeSequencer(deps: Pick<Deps, "wakes">): void {
  deps.wakes.publish("change", [UNSTAMPED]);
}

async function insertChanges(tx: Tx, changes: readonly NewChange[]): Promise<void> {
  for (let from = 0; from < changes.length; from += CHANGES_MAX) {
    const batch = JSON.stringify(changes.slice(from, from + CHANGES_MAX));
    await prepared(
      tx,
      sql`insert into change (workspace_id, kind, run_id, entity_id, data)
        select n."workspaceId", n.kind, n."runId", n."entityId", coalesce(n.data, '{}')
        from json_to_recordset(${batch}::json)
          as n ("workspaceId" uuid, kind text, "runId" uuid, "entityId" text, data jsonb)`,
    );
  }
}

/** The last position up to which readers can see every change. 0 before the first change. */
export async function readPosition(from: Queryable): Promise<number> {
  const [row] = await from.select({ position: changeFeed.lastPosition }).from(changeFeed);
  return row?.position ?? 0;
}

/** The id of a position of the feed: the position and the database's incarnation, `position:incarnation`. */
export function feedIdOf(position: number, incarnation: string): string {
  return `${position}:${incarnation}`;
}

/**
 * The id of the feed's present position. What is read afterwards contains every change up to it, so a reader that
 * continues there misses nothing.
 */
export async function readFeedId(deps: Pick<Deps, "database" | "incarnations">): Promise<string> {
  const [incarnation, position] = await Promise.all([
    deps.incarnations.current(),
    readPosition(deps.database.reads),
  ]);
  return feedIdOf(position, incarnation.id);
}

/**
 * Reads the changes of a workspace, or of one run, after a position. A reader that continues from its last position
 * misses no change that is younger than the retention.
 */
export async function readChanges(
  from: Queryable,
  args: { workspaceId: string; runId?: string; after: number; limit: number },
): Promise<Change[]> {
  const rows = await from
    .select()
    .from(change)
    .where(
      and(
        eq(change.workspaceId, args.workspaceId),
        args.runId === undefined ? undefined : eq(change.runId, args.runId),
        isNotNull(change.position),
        gt(change.position, args.after),
      ),
    )
    .orderBy(asc(change.position))
    .limit(Math.min(args.limit, CHANGES_MAX));
  return rows.flatMap((row) => (row.position === null ? [] : [{ ...row, position: row.position }]));
}
