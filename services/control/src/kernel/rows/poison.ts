import { Problem, type Trouble } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { textArray } from "../arrays.ts";
import { type Clock, now } from "../clock.ts";
import type { Queryable } from "../database.ts";
import { prepared } from "../prepared.ts";

/** A row that a periodic job works on, by its tenant and id. */
export interface RowName {
  readonly workspaceId: string;
  readonly id: string;
}

/** A row that a periodic job could not handle, with what people look at when they look for it. */
export interface Poisoned extends RowName {
  readonly job: string;
  /** The run, schedule, backfill or notifier that it concerns. */
  readonly subjectId: string | null;
}

/** The first pause before such a row is tried again, the longest one, seconds, and from which failure on it lasts so long. */
const FIRST_PAUSE_SECONDS = 5;
const LONGEST_PAUSE_SECONDS = 3_600;
const DOUBLINGS_MAX = 10;

/** The longest message that is kept. */
const MESSAGE_CHARS = 500;

/** The columns that tell a row's tenant and id in a statement. */
export interface RowColumns {
  readonly workspaceId: SQL;
  readonly id: SQL;
}

/** Whether no row of a job is set aside under these names, as SQL. Primary key of poisoned_row, which is all but empty. */
export function isSound(job: string, { workspaceId, id }: RowColumns): SQL {
  return sql`not exists (select 1 from poisoned_row p
    where p.job = ${job} and p.workspace_id = ${workspaceId} and p.row_id = ${id})`;
}

/** What may be said to people: the text of an unexpected error may hold values. */
function messageOf(error: unknown): string {
  if (error instanceof Problem) return error.message.slice(0, MESSAGE_CHARS);
  return "An unexpected error of the control plane. Its log tells which.";
}

/**
 * Sets a row aside, for longer each time, with jitter: from here on the periodic job does without it until it is tried again.
 * @returns how often it has failed, and until when it is left alone.
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

/** Takes a row up again: it was handled, or is gone. */
export async function takeUp(to: Queryable, args: { job: string } & RowName): Promise<void> {
  await prepared(
    to,
    sql`delete from poisoned_row where job = ${args.job} and workspace_id = ${args.workspaceId} and row_id = ${args.id}`,
  );
}

/** Leaves a row alone for the first pause once more, since somebody else works on it now. It has not failed again. */
export async function postpone(to: Queryable, clock: Clock, args: { job: string } & RowName): Promise<void> {
  await prepared(
    to,
    sql`update poisoned_row set not_before = ${now(clock)} + make_interval(secs => ${FIRST_PAUSE_SECONDS})
      where job = ${args.job} and workspace_id = ${args.workspaceId} and row_id = ${args.id}`,
  );
}

/** Milliseconds until the first row of these jobs is to be tried again, or null. Index poisoned_row_due. */
export function untilRetry(clock: Clock, jobs: readonly string[]): SQL {
  return sql`select extract(epoch from min(not_before) - ${now(clock)}) * 1000 from poisoned_row
    where job = any(${textArray(jobs)}::text[])`;
}

/** Rows of these jobs that are to be tried again by now, first due first. Index poisoned_row_due. */
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

/** What could not be done about runs, schedules, backfills or notifiers of a workspace, by their ids. Index poisoned_row_subject. */
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
