import { FINAL_RUN_STATES, type RunState } from "@towpath/contract";
import { type SQL, sql } from "drizzle-orm";
import { type Clock, now, type Queryable } from "../../kernel/index.ts";
import { type RunSummaryRow, run } from "../table.ts";
import { columns, instantOrNull, type RawRow, rowOf, rows, rowsPlannedAnew, textArray } from "./rows.ts";

/** The columns that lists leave where they are: large, and never shown. */
const UNLISTED = ["parameters", "error", "result"] as const;

/** A row of a list of runs, with what its labels derive from. */
export interface ListedRun {
  readonly row: RunSummaryRow;
  readonly now: Date;
  readonly leaseExpiresAt: Date | null;
}

/** Which runs to list. */
export interface RunFilter {
  readonly workspaceId: string;
  readonly limit: number;
  readonly state?: readonly RunState[] | undefined;
  readonly deployment?: string | undefined;
  readonly pool?: string | undefined;
  readonly tag?: string | undefined;
  readonly cause?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** A part of the deployment's name, or the whole or the end of the run's id. */
  readonly text?: string | undefined;
  /** The last run of the page before. */
  readonly after: { readonly createdAt: string; readonly id: string } | null;
}

/** So many deployments that a text may mean are each looked up by index; where it means more, most runs are meant. */
const NAMES_MAX = 8;
/** So much of the end of an id is indexed. */
const ID_END_CHARS = 8;
const ID_END = /[0-9a-f]{8}$/;

/** What a text may mean. */
interface Meaning {
  readonly names: readonly string[];
  readonly idEnd: string | null;
}

const inNames = (names: readonly string[]): SQL => sql`r.deployment = any(${textArray(names)}::text[])`;
const hasEnd = (end: string): SQL => sql`right(r.id::text, ${ID_END_CHARS}) = ${end}`;

function and(conditions: readonly (SQL | undefined)[]): SQL {
  return sql.join(
    conditions.filter((condition) => condition !== undefined),
    sql` and `,
  );
}

/** What holds of every run of the list, but for its state and deployment. */
function always(a: RunFilter): SQL {
  return and([
    sql`r.workspace_id = ${a.workspaceId}`,
    a.pool === undefined ? undefined : sql`r.pool = ${a.pool}`,
    a.tag === undefined ? undefined : sql`r.tags @> ${textArray([a.tag])}::text[] and r.tags <> '{}'`,
    a.cause === undefined ? undefined : sql`r.cause = ${a.cause}`,
    a.from === undefined ? undefined : sql`r.created_at >= ${a.from}::timestamptz`,
    a.to === undefined ? undefined : sql`r.created_at < ${a.to}::timestamptz`,
    a.after === null
      ? undefined
      : sql`(r.created_at, r.id) < (${a.after.createdAt}::timestamptz, ${a.after.id}::uuid)`,
  ]);
}

/** The deployments that are meant, by index deployment_name; as many as tell that there are too many. */
async function meaningOf(from: Queryable, a: RunFilter): Promise<Meaning | null> {
  if (a.text === undefined) return a.deployment === undefined ? null : { names: [a.deployment], idEnd: null };
  const text = a.text.toLowerCase();
  const named = await rows<{ name: string }>(
    from,
    sql`select name from deployment where workspace_id = ${a.workspaceId} and position(${text} in name) > 0
      and (${a.deployment ?? null}::text is null or name = ${a.deployment ?? null}) order by name`,
  );
  const idEnd = ID_END.test(text) ? text.slice(-ID_END_CHARS) : null;
  return { names: named.map((one) => one.name), idEnd };
}

function liveConditions(a: RunFilter, meaning: Meaning | null): SQL {
  return and([
    always(a),
    a.state === undefined ? undefined : sql`r.state = any(${textArray(a.state)}::text[])`,
    meaning === null ? undefined : meant(meaning),
  ]);
}

function meant({ names, idEnd }: Meaning): SQL {
  return idEnd === null ? inNames(names) : sql`(${inNames(names)} or ${hasEnd(idEnd)})`;
}

/**
 * The same over history, as alternatives that exclude each other: each is a stretch of one index in the order of the
 * list, so that none is read further than the page.
 */
function historyConditions(a: RunFilter, meaning: Meaning | null): SQL[] {
  const states = FINAL_RUN_STATES.filter((state) => a.state === undefined || a.state.includes(state));
  const everyState = states.length === FINAL_RUN_STATES.length;
  const byState = states.map((state) => and([always(a), sql`r.state = ${state}`]));
  if (states.length === 0) return [];
  if (meaning === null) return everyState ? [always(a)] : byState;
  const { names, idEnd } = meaning;
  const ended = sql`r.state = any(${textArray(states)}::text[])`;
  const byId = idEnd === null ? [] : [and([always(a), ended, hasEnd(idEnd), sql`not (${inNames(names)})`])];
  if (names.length > NAMES_MAX) return [...byId, and([always(a), ended, inNames(names)])];
  return [
    ...byId,
    ...names.flatMap((name) => byState.map((state) => and([state, sql`r.deployment = ${name}`]))),
  ];
}

/**
 * Runs, newest first. One statement sees a run either live or archived, never both nor neither; each side stops at the
 * limit. Live: index run_newest. History: run_history_newest, _state, _deployment, _pool, _cause, _tags or _id_end, merged
 * over the partitions; planned anew, because the best of them depends on what is asked for. First pages over HTTP
 * with 1,000,000 archived runs in 13 partitions, medians: 9 ms unnarrowed, 5 to 25 ms for every filter, the rarest state, pool and
 * tag among them (`node test/bench/main.ts --quick --only list`).
 */
export async function listRunRows(from: Queryable, clock: Clock, a: RunFilter): Promise<ListedRun[]> {
  const meaning = await meaningOf(from, a);
  const listed = columns(run, "r", UNLISTED);
  const newest = sql`order by r.created_at desc, r.id desc limit ${a.limit}`;
  const parts = [
    sql`(select ${listed} from run r where ${liveConditions(a, meaning)} ${newest})`,
    ...historyConditions(a, meaning).map(
      (where) => sql`(select ${listed} from run_history r where ${where} ${newest})`,
    ),
  ];
  const raws = await rowsPlannedAnew<RawRow & { now: string; leased_until: string | null }>(
    from,
    sql`select r.*, ${now(clock)} as now,
        (select a.lease_expires_at from attempt a where a.id = r.attempt_id) as leased_until
      from (
        select * from (${sql.join(parts, sql` union all `)}) part order by created_at desc, id desc limit ${a.limit}
      ) r order by r.created_at desc, r.id desc`,
  );
  return raws.map((raw) => ({
    row: rowOf(run, raw, UNLISTED),
    now: new Date(raw.now),
    leaseExpiresAt: instantOrNull(raw.leased_until),
  }));
}
