import { Problem, type Trouble } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { type Clock, now } from "../clock.ts";
import type { Queryable } from "../database.ts";
import { prepared, textArray } from "../prepared.ts";

/** A row of a periodic job, by its tenant and id. */
export interface RowName {
  readonly workspaceId: string;
  readonly id: string;
}

/** A row that a periodic job could not handle, and the thing where people see that. */
export interface Poisoned extends RowName {
  readonly job: string;
  /** The run, schedule, backfill or notifier that it belongs to. */
  readonly subjectId: string | null;
}

/** The pauses before such a row is retried, seconds: the first, the longest, and the number of failures that reaches it. */
const FIRST_PAUSE_SECONDS = 5;
const LONGEST_PAUSE_SECONDS = 3_600;
const DOUBLINGS_MAX = 10;

/** The longest message that is kept. */
const MESSAGE_CHARS = 500;

/** The columns with a row's tenant and id in a statement. */
export interface RowColumns {
  readonly workspaceId: SQL;
  readonly id: SQL;
}

/** Whether no such row of a job is set aside, as SQL. Primary key of poisoned_row, which is nearly empty. */
export function isSound(job: string, { workspaceId, id }: RowColumns): SQL {
  return sql`not exists (select 1 from poisoned_row p
    where p.job = ${job} and p.workspace_id = ${workspaceId} and p.row_id = ${id})`;
}

/** The message for people. The text of an unexpected error may contain values. */
function messageOf(error: unknown): string {
  if (error instanceof Problem) return error.message.slice(0, MESSAGE_CHARS);
  return "An unexpected error of the control plane. Its log has the reason.";
}

/**
 * Sets a row aside with a growing pause and jitter. The periodic job skips it until it is retried.
 * @returns how often it has failed, and when it is retried.
 */
export async function setAside(
  to: Queryable,
  clock: Clock,
  args: { row: Poisoned; error: unknown },
): Promise<{ failures: number; notBefore: string }> {
  const { job, workspaceId, id, subjectId } = args.row;
  const pause = (failures: SQL) => sql`make_interval(secs =>
    least(${LONGEST_PAUSE_SECONDS}, ${FIRST_PAUSE_SECONDS} * 2 ^ least(${failures} - 1, ${DOUBLINGS_MAX})) * (0.75 + random() / 4))`;
  const [kept] = await prepared<{ failures: number; notBefore: string }>(
    to,
    sql`insert into poisoned_row as p (job, workspace_id, row_id, subject_id, failures, message, since, not_before)
      values (${job}, ${workspaceId}, ${id}, ${subjectId}, 1, ${messageOf(args.error)}, ${now(clock)}, ${now(clock)} + ${pause(sql`1`)})
      on conflict (job, workspace_id, row_id) do update set failures = p.failures + 1, message = excluded.message,
        not_before = ${now(clock)} + ${pause(sql`p.failures + 1`)}
      returning failures, not_before as "notBefore"`,
  );
  return kept ?? { failures: 1, notBefore: "" };
}

/** Takes a row off the list: it was handled, or is gone. */
export async function clearRow(to: Queryable, args: { job: string } & RowName): Promise<void> {
  await prepared(
    to,
    sql`delete from poisoned_row where job = ${args.job} and workspace_id = ${args.workspaceId} and row_id = ${args.id}`,
  );
}

/** Sets a row aside for another first pause, because another process handles it now. This is not a failure. */
export async function postpone(to: Queryable, clock: Clock, args: { job: string } & RowName): Promise<void> {
  await prepared(
    to,
    sql`update poisoned_row set not_before = ${now(clock)} + make_interval(secs => ${FIRST_PAUSE_SECONDS})
      where job = ${args.job} and workspace_id = ${args.workspaceId} and row_id = ${args.id}`,
  );
}

/** Milliseconds until the first row of these jobs is due for a retry, or null. Index poisoned_row_due. */
export function untilRetry(clock: Clock, jobs: readonly string[]): SQL {
  return sql`select extract(epoch from min(not_before) - ${now(clock)}) * 1000 from poisoned_row
    where job = any(${textArray(jobs)}::text[])`;
}

/** Rows of these jobs that are due for a retry, first due first. Index poisoned_row_due. */
export function listRetries(
  from: Queryable,
  clock: Clock,
  args: { jobs: readonly string[]; limit: number },
): Promise<Poisoned[]> {
  return prepared<Poisoned>(
    from,
    sql`select job, workspace_id as "workspaceId", row_id as id, subject_id as "subjectId" from poisoned_row
      where not_before <= ${now(clock)} and job = any(${textArray(args.jobs)}::text[]) order by not_before limit ${args.limit}`,
  );
}

/** The failures about runs, schedules, backfills or notifiers of a workspace, by their ids. Index poisoned_row_subject. */
export async function readTroubles(
  from: Queryable,
  args: { workspaceId: string; subjectIds: readonly string[] },
): Promise<Map<string, Trouble[]>> {
  if (args.subjectIds.length === 0) return new Map();
  const found = await prepared<Trouble & { subjectId: string }>(
    from,
    sql`select subject_id as "subjectId", job, failures, message, since, not_before as "retryAt" from poisoned_row
      where workspace_id = ${args.workspaceId} and subject_id = any(array(
        select value::uuid from json_array_elements_text(${JSON.stringify(args.subjectIds)}::json)))
      order by since, job`,
  );
  const troubles = new Map<string, Trouble[]>();
  for (const { subjectId, since, retryAt, ...rest } of found) {
    const trouble = {
      ...rest,
      since: new Date(since).toISOString(),
      retryAt: new Date(retryAt).toISOString(),
    };
    troubles.set(subjectId, [...(troubles.get(subjectId) ?? []), trouble]);
  }
  return troubles;
}
