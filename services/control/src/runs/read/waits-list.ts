import type { RunState, WaitState } from "@towpath/contract";
import { AWAITED, Id, Instant, type ListedWait, type WaitQuery } from "@towpath/contract";
import { z } from "zod";
import { type SQL, sql } from "#sql";
import {
  columns,
  type Deps,
  pageOf,
  type Queryable,
  type RawRow,
  readCursor,
  rowOf,
  rowsPlannedAnew,
  type Scope,
  textArray,
} from "../../kernel/index.ts";
import { findJobs } from "../jobs/tending-store.ts";
import { type JobRow, type WaitRow, wait } from "../table.ts";
import { waitOf } from "../waits/wire.ts";

/** Which waits of a workspace to list. */
interface WaitFilter {
  readonly workspaceId: string;
  readonly kinds: readonly WaitRow["kind"][];
  readonly states: readonly WaitState[];
  readonly deployment: string | undefined;
  readonly order: "oldest" | "newest";
  readonly limit: number;
  /** The last wait of the page before. */
  readonly after: { readonly createdAt: string; readonly id: string } | null;
}

/** The columns that lists leave out: they are large and never shown. */
const UNLISTED = ["answer"] as const;

/** A row of the list: the wait without its answer, and its run if that is known. */
interface ListedWaitRow {
  readonly wait: Omit<WaitRow, (typeof UNLISTED)[number]>;
  readonly run: { readonly name: string | null; readonly state: RunState } | null;
}

function conditionsOf(args: WaitFilter): SQL {
  // A literal, so that the planner sees that the index of open waits fits.
  const isOpen = args.states.length === 1 && args.states[0] === "open";
  const state = isOpen ? sql`w.state = 'open'` : sql`w.state = any(${textArray(args.states)}::text[])`;
  const deployment = args.deployment === undefined ? sql`` : sql`and w.deployment = ${args.deployment}`;
  if (args.after === null) return sql`${state} ${deployment}`;
  const { createdAt, id } = args.after;
  const past = args.order === "oldest" ? sql`>` : sql`<`;
  return sql`${state} ${deployment} and (w.created_at, w.id) ${past} (${createdAt}::timestamptz, ${id}::uuid)`;
}

/**
 * Waits in the order of their creation, or in the reverse order. It reads one range of an index for each kind, up to the
 * limit, and merges them. Index wait_open for open waits, wait_of_deployment or wait_listed for others. An archived run is
 * looked up only in its partition.
 */
async function listWorkspaceWaits(from: Queryable, args: WaitFilter): Promise<ListedWaitRow[]> {
  if (args.kinds.length === 0) return [];
  const raws = await rowsPlannedAnew<RawRow & { run: ListedWaitRow["run"] }>(from, workspaceWaits(args));
  return raws.map(({ run, ...row }) => ({ wait: rowOf(wait, row, UNLISTED), run }));
}

/** The statement of `listWorkspaceWaits`, for tests of its plan. */
export function workspaceWaits(args: WaitFilter): SQL {
  const order = args.order === "oldest" ? sql`asc` : sql`desc`;
  const ordered = sql`order by w.created_at ${order}, w.id ${order} limit ${args.limit}`;
  const listed = columns(wait, "w", UNLISTED);
  const where = conditionsOf(args);
  const parts = args.kinds.map(
    (kind) => sql`(select ${listed} from wait w
      where w.workspace_id = ${args.workspaceId} and w.kind = ${kind} and ${where} ${ordered})`,
  );
  return sql`select w.*, r.run
    from (select ${listed} from (${sql.join(parts, sql` union all `)}) w ${ordered}) w
      left join lateral (
        select json_build_object('name', r.name, 'state', r.state) as run from run r
          where r.workspace_id = w.workspace_id and r.id = w.run_id
        union all
        select json_build_object('name', h.name, 'state', h.state) from run_key k
          join run_history h on h.workspace_id = k.workspace_id and h.id = k.run_id and h.ended_at = k.ended_at
          where k.workspace_id = w.workspace_id and k.run_id = w.run_id
        limit 1
      ) r on true
    order by w.created_at ${order}, w.id ${order}`;
}

function listedWaitOf({ wait, run }: ListedWaitRow, job: JobRow | null): ListedWait {
  const { answer: _, ...shown } = waitOf({ ...wait, answer: null }, job);
  return { ...shown, deployment: wait.deployment, run };
}

/**
 * The waits of a workspace's runs, by default only open ones. Pages by creation, so that an answer between two pages neither
 * repeats nor hides a wait.
 * @throws Problem `bad-request` for a cursor that no list gave out.
 */
export async function listAllWaits(
  deps: Pick<Deps, "database">,
  scope: Pick<Scope, "workspaceId">,
  query: z.output<typeof WaitQuery>,
): Promise<{ items: ListedWait[]; next: string | null }> {
  const { kind, state, deployment, order, limit } = query;
  const after = readCursor(query.cursor, z.tuple([Instant, Id]));
  const found = await listWorkspaceWaits(deps.database.reads, {
    workspaceId: scope.workspaceId,
    deployment,
    order,
    limit: limit + 1,
    kinds: [...new Set(kind ?? AWAITED)],
    states: state,
    after: after === null ? null : { createdAt: after[0], id: after[1] },
  });
  const jobIds = found.flatMap(({ wait }) => (wait.kind === "job" ? [wait.id] : []));
  const { workspaceId } = scope;
  const jobs = jobIds.length === 0 ? [] : await findJobs(deps.database.reads, { workspaceId, jobIds });
  const jobOf = new Map(jobs.map((row) => [row.id, row]));
  return pageOf(found, {
    limit,
    item: (row) => listedWaitOf(row, jobOf.get(row.wait.id) ?? null),
    key: ({ wait }) => [wait.createdAt.toISOString(), wait.id],
  });
}
