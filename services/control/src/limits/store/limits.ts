import type { Limit } from "@towpath/contract";
import { and, asc, eq, gt, inArray, or, sql } from "#sql";
import { type Clock, now, prepared, type Queryable, type Tx, textArray } from "../../kernel/index.ts";
import { deploymentLimit, slotLimit } from "../table.ts";

/** A row of slot_limit. */
export type LimitRow = typeof slotLimit.$inferSelect;

/** A limit by its kind and name. */
export interface LimitNamed {
  readonly workspaceId: string;
  readonly kind: Limit["kind"];
  readonly name: string;
}

const named = (args: LimitNamed) =>
  and(
    eq(slotLimit.workspaceId, args.workspaceId),
    eq(slotLimit.kind, args.kind),
    eq(slotLimit.name, args.name),
  );

/** One limit by its name, or null. */
export async function selectLimit(from: Queryable, args: LimitNamed): Promise<LimitRow | null> {
  const [row] = await from.select().from(slotLimit).where(named(args));
  return row ?? null;
}

/** One limit by its id, or null. */
export async function selectLimitById(
  from: Queryable,
  args: { workspaceId: string; id: string },
): Promise<LimitRow | null> {
  const [row] = await from
    .select()
    .from(slotLimit)
    .where(and(eq(slotLimit.workspaceId, args.workspaceId), eq(slotLimit.id, args.id)));
  return row ?? null;
}

/** Named limits of these names. */
export function selectNamed(
  from: Queryable,
  args: { workspaceId: string; names: readonly string[] },
): Promise<LimitRow[]> {
  return from
    .select()
    .from(slotLimit)
    .where(
      and(
        eq(slotLimit.workspaceId, args.workspaceId),
        eq(slotLimit.kind, "named"),
        inArray(slotLimit.name, [...args.names]),
      ),
    );
}

/** A limit of a tag, for one attempt. */
export interface TagLimit {
  readonly id: string;
  readonly tag: string;
  /** Whether its slots are tokens, which return by time. */
  readonly isRate: boolean;
  /** Which of the named requests of the attempt hold slots of it. Empty text: the run itself. */
  readonly heldBy: readonly string[];
}

/**
 * The limits of these tags, with the paths of the attempt that hold slots of them. A slot that a caller in another attempt holds
 * counts as one of the run itself. Unique index of slot_limit, primary key of slot.
 */
export function selectTagLimits(
  from: Queryable,
  args: {
    workspaceId: string;
    tags: readonly string[];
    attemptId: string;
    paths: readonly string[];
    /** Calls in other attempts that led to this one. */
    callers: readonly { readonly attemptId: string; readonly path: string }[];
  },
): Promise<TagLimit[]> {
  return prepared<TagLimit>(
    from,
    sql`select l.id, l.name as tag, l.per_ms is not null as "isRate", coalesce((select json_agg(h.path) from (
        select s.path from slot s where s.attempt_id = ${args.attemptId}::uuid and s.workspace_id = l.workspace_id
          and s.limit_id = l.id and s.path = any(${textArray(["", ...args.paths])}::text[])
        union all
        select '' from unnest(${textArray(args.callers.map(({ attemptId }) => attemptId))}::uuid[],
            ${textArray(args.callers.map(({ path }) => path))}::text[]) as c (attempt_id, path)
          join slot s on s.attempt_id = c.attempt_id and s.workspace_id = l.workspace_id and s.limit_id = l.id
          where s.path = '' or starts_with(c.path, regexp_replace(s.path, ' try [0-9]+$', '') || '/')) h), '[]') as "heldBy"
      from slot_limit l
      where l.workspace_id = ${args.workspaceId} and l.kind = 'tag' and l.name = any(${textArray(args.tags)}::text[])`,
  );
}

/** Which of these tags have limits. Unique index of slot_limit. */
export async function selectLimitedTags(
  from: Queryable,
  args: { workspaceId: string; tags: readonly string[] },
): Promise<Set<string>> {
  const found = await prepared<{ name: string }>(
    from,
    sql`select l.name from slot_limit l
      where l.workspace_id = ${args.workspaceId} and l.kind = 'tag' and l.name = any(${textArray(args.tags)}::text[])`,
  );
  return new Set(found.map(({ name }) => name));
}

/** The limits of a pool and of its queues. */
export function selectLimitsOfPool(
  from: Queryable,
  args: { workspaceId: string; pool: string },
): Promise<LimitRow[]> {
  return from
    .select()
    .from(slotLimit)
    .where(
      and(
        eq(slotLimit.workspaceId, args.workspaceId),
        or(
          and(eq(slotLimit.kind, "pool"), eq(slotLimit.name, args.pool)),
          and(eq(slotLimit.kind, "queue"), sql`split_part(${slotLimit.name}, '/', 1) = ${args.pool}`),
        ),
      ),
    )
    .orderBy(asc(slotLimit.id));
}

/** The most names that are searched for a suggestion. */
const SUGGESTIONS_MAX = 500;

/** Some names of named limits, for suggestions. */
export async function selectNames(from: Queryable, workspaceId: string): Promise<string[]> {
  const rows = await from
    .select({ name: slotLimit.name })
    .from(slotLimit)
    .where(and(eq(slotLimit.workspaceId, workspaceId), eq(slotLimit.kind, "named")))
    .orderBy(asc(slotLimit.name))
    .limit(SUGGESTIONS_MAX);
  return rows.map((row) => row.name);
}

/** Limits by kind and name, one more than a page. */
export function selectLimits(
  from: Queryable,
  args: {
    workspaceId: string;
    kind?: Limit["kind"] | undefined;
    name?: string | undefined;
    after: readonly [string, string] | null;
    limit: number;
  },
): Promise<LimitRow[]> {
  const [kind, name] = args.after ?? ["", ""];
  return from
    .select()
    .from(slotLimit)
    .where(
      and(
        eq(slotLimit.workspaceId, args.workspaceId),
        args.kind === undefined ? undefined : eq(slotLimit.kind, args.kind),
        args.name === undefined ? undefined : eq(slotLimit.name, args.name),
        or(gt(sql`${slotLimit.kind}`, kind), and(eq(sql`${slotLimit.kind}`, kind), gt(slotLimit.name, name))),
      ),
    )
    .orderBy(asc(slotLimit.kind), asc(slotLimit.name))
    .limit(args.limit + 1);
}

/** The settings of a limit. */
export type LimitSetting = LimitNamed & Pick<LimitRow, "id" | "slots" | "perMs" | "collision" | "source">;

/** Inserts or changes a limit, and locks it. @returns the row, and whether it is new. */
export async function upsertLimit(
  tx: Tx,
  clock: Clock,
  args: LimitSetting,
): Promise<{ row: LimitRow; isNew: boolean } | null> {
  const at = now(clock);
  const { slots, perMs, collision, source } = args;
  const [row] = await tx
    .insert(slotLimit)
    .values({ ...args, createdAt: at, updatedAt: at })
    .onConflictDoUpdate({
      target: [slotLimit.workspaceId, slotLimit.kind, slotLimit.name],
      set: { slots, perMs, collision, source, updatedAt: at },
    })
    .returning();
  return row === undefined ? null : { row, isNew: row.id === args.id };
}

/** Deletes a limit and its taken slots. Wait lists and deployments no longer need it. */
export async function deleteLimitRow(tx: Tx, args: { workspaceId: string; id: string }): Promise<void> {
  const which = and(eq(slotLimit.workspaceId, args.workspaceId), eq(slotLimit.id, args.id));
  await tx.select({ id: slotLimit.id }).from(slotLimit).where(which).for("update");
  await prepared(
    tx,
    sql`delete from slot where workspace_id = ${args.workspaceId} and limit_id = ${args.id}`,
  );
  await tx.delete(slotLimit).where(which);
}

/** Sets the named limits that the runs of a deployment need. */
export async function saveUses(
  tx: Tx,
  args: { workspaceId: string; deploymentId: string; uses: readonly { limitId: string; amount: number }[] },
): Promise<void> {
  const { workspaceId, deploymentId } = args;
  await tx
    .delete(deploymentLimit)
    .where(and(eq(deploymentLimit.workspaceId, workspaceId), eq(deploymentLimit.deploymentId, deploymentId)));
  if (args.uses.length === 0) return;
  await tx
    .insert(deploymentLimit)
    .values(args.uses.map(({ limitId, amount }) => ({ workspaceId, deploymentId, limitId, amount })));
}

/** Whether a deployment needs named limits. */
export async function hasUses(
  from: Queryable,
  args: { workspaceId: string; deploymentId: string },
): Promise<boolean> {
  const found = await from
    .select({ limitId: deploymentLimit.limitId })
    .from(deploymentLimit)
    .where(
      and(
        eq(deploymentLimit.workspaceId, args.workspaceId),
        eq(deploymentLimit.deploymentId, args.deploymentId),
      ),
    )
    .limit(1);
  return found.length > 0;
}

/** A holder of slots. */
export interface HolderRow {
  readonly limitId: string;
  readonly runId: string;
  readonly attemptId: string;
  readonly path: string;
  readonly amount: number;
  readonly forMs: number;
}

/** The longest holders of slots of these limits. Index slot_held. */
export function listHolders(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; limitIds: readonly string[]; each: number },
): Promise<HolderRow[]> {
  return prepared<HolderRow>(
    from,
    sql`select h.* from unnest(${textArray(args.limitIds)}::uuid[]) as l (id), lateral (
        select s.limit_id as "limitId", s.run_id as "runId", s.attempt_id as "attemptId", s.path, s.amount,
          greatest(0, extract(epoch from ${now(clock)} - s.taken_at) * 1000)::float8 as "forMs"
        from slot s where s.limit_id = l.id and s.workspace_id = ${args.workspaceId} and s.returns_at is null
        order by s.taken_at, s.attempt_id limit ${args.each}) h`,
  );
}

/** A request that waits for a limit. */
export interface WaiterRow {
  readonly limitId: string;
  readonly runId: string;
  readonly attemptId: string | null;
  readonly path: string;
  readonly amount: number;
  readonly priority: number;
  readonly dueMs: number;
}

/** The first waiting requests of these limits, in order. Indexes slot_line_limit_of, slot_wait_order. */
export function listWaiters(
  from: Queryable,
  args: { workspaceId: string; limitIds: readonly string[]; each: number },
): Promise<WaiterRow[]> {
  return prepared<WaiterRow>(
    from,
    sql`select w.* from unnest(${textArray(args.limitIds)}::uuid[]) as l (id), lateral (
        select l.id as "limitId", w.run_id as "runId", w.attempt_id as "attemptId", w.path, m.amount, w.priority,
          extract(epoch from w.due_at)::float8 * 1000 as "dueMs"
        from slot_line_limit m, lateral (
          select * from slot_wait w where w.line_id = m.line_id and w.workspace_id = ${args.workspaceId}
          order by w.priority desc, w.due_at, w.run_id, w.path limit ${args.each}) w
        where m.limit_id = l.id
        order by w.priority desc, w.due_at, w.run_id, w.path limit ${args.each}) w`,
  );
}

/** The tokens in use of these rates. Tokens that have returned are removed only at the next step. */
export async function countTokens(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; limitIds: readonly string[] },
): Promise<Map<string, number>> {
  const counted = await prepared<{ id: string; count: number }>(
    from,
    sql`select s.limit_id as id, sum(s.amount)::int as count from slot s
      where s.workspace_id = ${args.workspaceId} and s.limit_id = any(${textArray(args.limitIds)}::uuid[])
        and s.returns_at > ${now(clock)}
      group by s.limit_id`,
  );
  return new Map(counted.map((one) => [one.id, one.count]));
}

/** How many requests wait for each of these limits, each counted up to `most`. */
export async function countWaiting(
  from: Queryable,
  args: { workspaceId: string; limitIds: readonly string[]; most: number },
): Promise<Map<string, number>> {
  const counted = await prepared<{ id: string; count: number }>(
    from,
    sql`select l.id, (select count(*)::int from (
        select 1 from slot_line_limit m join slot_wait w on w.line_id = m.line_id
        where m.limit_id = l.id and w.workspace_id = ${args.workspaceId} limit ${args.most}) c) as count
      from unnest(${textArray(args.limitIds)}::uuid[]) as l (id)`,
  );
  return new Map(counted.map((one) => [one.id, one.count]));
}
