import { FINAL_RUN_STATES, type RunState } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  type Clock,
  columns,
  instantOrNull,
  now,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  rowsPlannedAnew,
  textArray,
} from "../../kernel/index.ts";
import { type RunSummaryRow, run } from "../table.ts";

/** Columns that lists leave out: they are large, and never shown. */
const UNLISTED = ["parameters", "error", "result"] as const;

/** A row of a list of runs, with the columns that its labels need. */
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
  /** The stage of the deployment. */
  readonly stage?: string | undefined;
  /** The names of the stage's deployments, which `listed` reads. */
  readonly stageNames?: readonly string[] | undefined;
  readonly pool?: string | undefined;
  readonly parent?: string | undefined;
  readonly tag?: string | undefined;
  readonly cause?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** A part of the deployment's or the run's own name, or the whole or the end of the run's id. */
  readonly text?: string | undefined;
  readonly order: "oldest" | "newest";
  /** The last run of the page before. */
  readonly after: { readonly createdAt: string; readonly id: string } | null;
}

/** The most deployments that are looked up by index for a text. A text that matches more deployments matches most runs. */
const NAMES_MAX = 8;
/** How many characters at the end of an id are indexed. */
const ID_END_CHARS = 8;
const ID_END = /[0-9a-f]{8}$/;

/** The shortest part of a run's own name that the index can find. */
const RUN_NAME_CHARS_MIN = 3;

/** The possible meanings of a text. */
interface Meaning {
  readonly names: readonly string[];
  readonly idEnd: string | null;
  /** A part of a run's own name, in lower case. */
  readonly runName: string | null;
}

/** How many of the first runs of a list are read to see whether a name is common enough to fill the page. */
const FIRST_NAMED_MAX = 20_000;

const isNamed = (part: string): SQL => sql`position(${part} in lower(r.name)) > 0`;
/** Like `isNamed`, with the index run_history_name. A name that contains the part also contains its grams. */
const isNamedByIndex = (part: string): SQL =>
  sql`r.name is not null and name_grams(r.name) @> name_grams(${part}) and ${isNamed(part)}`;
const inNames = (names: readonly string[]): SQL => sql`r.deployment = any(${textArray(names)}::text[])`;
const hasEnd = (end: string): SQL => sql`right(r.id::text, ${ID_END_CHARS}) = ${end}`;

function and(conditions: readonly (SQL | undefined)[]): SQL {
  return sql.join(
    conditions.filter((condition) => condition !== undefined),
    sql` and `,
  );
}

/** The conditions on every run of the list, except state and deployment. */
function always(args: RunFilter): SQL {
  return and([
    sql`r.workspace_id = ${args.workspaceId}`,
    args.pool === undefined ? undefined : sql`r.pool = ${args.pool}`,
    args.stageNames === undefined ? undefined : inNames(args.stageNames),
    args.parent === undefined ? undefined : sql`r.parent_id = ${args.parent}::uuid`,
    args.tag === undefined ? undefined : sql`r.tags @> ${textArray([args.tag])}::text[] and r.tags <> '{}'`,
    args.cause === undefined ? undefined : sql`r.cause = ${args.cause}`,
    args.from === undefined ? undefined : sql`r.created_at >= ${args.from}::timestamptz`,
    args.to === undefined ? undefined : sql`r.created_at < ${args.to}::timestamptz`,
    args.after === null
      ? undefined
      : sql`(r.created_at, r.id) ${args.order === "oldest" ? sql`>` : sql`<`} (${args.after.createdAt}::timestamptz, ${args.after.id}::uuid)`,
  ]);
}

/** The first `limit` runs of a list, as `r`: either way a walk of the same indexes. */
function inOrder(args: RunFilter, limit: number): SQL {
  const way = args.order === "oldest" ? sql`asc` : sql`desc`;
  return sql`order by r.created_at ${way}, r.id ${way} limit ${limit}`;
}

const ofDeployment = (args: RunFilter): SQL | undefined =>
  args.deployment === undefined ? undefined : sql`r.deployment = ${args.deployment}`;

/** The deployments of the stage, so that history is read by their names' index. Undefined: of any stage. */
async function namesOfStage(
  from: Queryable,
  args: Pick<RunFilter, "workspaceId" | "stage">,
): Promise<string[] | undefined> {
  if (args.stage === undefined) return undefined;
  const named = await rows<{ name: string }>(
    from,
    sql`select name from deployment where workspace_id = ${args.workspaceId}
      and split_part(name, '@', 2) = ${args.stage} order by name`,
  );
  return named.map((one) => one.name);
}

/** The possible meanings of the filters by text, deployment and stage. Null: no such filter. Index deployment_name. */
async function meaningOf(from: Queryable, args: RunFilter): Promise<Meaning | null> {
  const isInStage = (name: string) => args.stageNames?.includes(name) ?? true;
  if (args.text === undefined) {
    const names = args.deployment === undefined ? args.stageNames : [args.deployment];
    return names === undefined ? null : { names: names.filter(isInStage), idEnd: null, runName: null };
  }
  const text = args.text.toLowerCase();
  const named = await rows<{ name: string }>(
    from,
    sql`select name from deployment where workspace_id = ${args.workspaceId} and position(${text} in name) > 0
      and (${args.deployment ?? null}::text is null or name = ${args.deployment ?? null}) order by name`,
  );
  const idEnd = ID_END.test(text) ? text.slice(-ID_END_CHARS) : null;
  const runName = text.length < RUN_NAME_CHARS_MIN ? null : text;
  return { names: named.map((one) => one.name).filter(isInStage), idEnd, runName };
}

function liveConditions(args: RunFilter, meaning: Meaning | null): SQL {
  return and([
    always(args),
    ofDeployment(args),
    args.state === undefined ? undefined : sql`r.state = any(${textArray(args.state)}::text[])`,
    meaning === null ? undefined : meant(meaning),
  ]);
}

function meant({ names, idEnd, runName }: Meaning): SQL {
  const ways = [
    inNames(names),
    ...(idEnd === null ? [] : [hasEnd(idEnd)]),
    ...(runName === null ? [] : [isNamed(runName)]),
  ];
  return sql`(${sql.join(ways, sql` or `)})`;
}

const finalStatesOf = (args: RunFilter) =>
  FINAL_RUN_STATES.filter((state) => args.state === undefined || args.state.includes(state));

/** The conditions on every archived run of the list, except those of a text. */
const ended = (args: RunFilter): SQL =>
  and([always(args), ofDeployment(args), sql`r.state = any(${textArray(finalStatesOf(args))}::text[])`]);

/** The source of one part of a list, as `r`, and the condition on its rows. */
interface Part {
  readonly source: SQL;
  readonly where: SQL;
}

/** The first archived runs of the list, among which a name is searched. The plan chooses the index. */
function firstArchived(args: RunFilter): SQL {
  return sql`(select r.* from run_history r where ${ended(args)} ${inOrder(args, FIRST_NAMED_MAX)}) r`;
}

/**
 * Whether enough of the first runs of the list have this name to fill a page. For common parts the planner's estimate
 * of the index on names is far too low: it would fetch and sort half of history for one page.
 */
async function isCommonName(from: Queryable, args: RunFilter, runName: string): Promise<boolean> {
  const [found] = await rowsPlannedAnew<{ runs: number }>(
    from,
    sql`select count(*)::int as runs from (
      select 1 from ${firstArchived(args)} where ${isNamed(runName)} limit ${args.limit}) named`,
  );
  return (found?.runs ?? 0) >= args.limit;
}

/**
 * The same over history, as exclusive alternatives. Each is a range of one index in the order of the list, so none is
 * read further than the page.
 */
async function historyParts(from: Queryable, args: RunFilter, meaning: Meaning | null): Promise<Part[]> {
  const states = finalStatesOf(args);
  const everyState = states.length === FINAL_RUN_STATES.length;
  const byState = states.map((state) => and([always(args), sql`r.state = ${state}`]));
  const archived = (where: SQL): Part => ({ source: sql`run_history r`, where });
  if (states.length === 0) return [];
  if (meaning === null) return (everyState ? [always(args)] : byState).map(archived);
  const { names, idEnd } = meaning;
  const every = ended(args);
  const byId = idEnd === null ? [] : [and([every, hasEnd(idEnd), sql`not (${inNames(names)})`])];
  const byDeployment =
    names.length > NAMES_MAX
      ? [and([every, inNames(names)])]
      : names.flatMap((name) => byState.map((state) => and([state, sql`r.deployment = ${name}`])));
  return [...(await nameParts(from, args, meaning)), ...[...byId, ...byDeployment].map(archived)];
}

/** Archived runs that match by their own names alone. */
async function nameParts(from: Queryable, args: RunFilter, meaning: Meaning): Promise<Part[]> {
  const { runName, names, idEnd } = meaning;
  if (runName === null) return [];
  const otherwise = meant({ names, idEnd, runName: null });
  if (await isCommonName(from, args, runName))
    return [{ source: firstArchived(args), where: sql`${isNamed(runName)} and not ${otherwise}` }];
  const where = and([ended(args), isNamedByIndex(runName), sql`not ${otherwise}`]);
  return [{ source: sql`run_history r`, where }];
}

/**
 * Runs by creation, in either order. One statement sees a run either live or archived, never both or neither; each side
 * stops at the limit. Live: index run_newest. History: run_history_newest, _state, _deployment, _pool, _cause,
 * _children, _tags, _name or _id_end, merged over the partitions. Planned anew each time, because the best index
 * depends on the filters.
 */
export async function listRunRows(from: Queryable, clock: Clock, args: RunFilter): Promise<ListedRun[]> {
  const raws = await rowsPlannedAnew<RawRow & { now: string; leased_until: string | null }>(
    from,
    sql`select r.*, ${now(clock)} as now,
        (select a.lease_expires_at from attempt a where a.id = r.attempt_id) as leased_until
      from ${await listed(from, args, { select: columns(run, "r", UNLISTED) })} ${inOrder(args, args.limit)}`,
  );
  return raws.map((raw) => ({
    row: rowOf(run, raw, UNLISTED),
    now: new Date(raw.now),
    leaseExpiresAt: instantOrNull(raw.leased_until),
  }));
}

/** The columns `select` of the first `limit` runs of a list, as `r`. Live runs must meet the condition `live`. */
export async function listed(
  from: Queryable,
  filter: RunFilter,
  { select, live = sql`true` }: { select: SQL; live?: SQL },
): Promise<SQL> {
  const args = { ...filter, stageNames: await namesOfStage(from, filter) };
  const meaning = await meaningOf(from, args);
  const ordered = inOrder(args, args.limit);
  const there: Part = { source: sql`run r`, where: sql`${liveConditions(args, meaning)} and ${live}` };
  const parts = [there, ...(await historyParts(from, args, meaning))].map(
    ({ source, where }) => sql`(select ${select} from ${source} where ${where} ${ordered})`,
  );
  return sql`(select * from (${sql.join(parts, sql` union all `)}) r ${ordered}) r`;
}
