import type { Sql } from "postgres";

/** What a database holds at one moment, as far as the checks need it. */
export interface History {
  readonly runs: ReadonlyMap<string, { readonly state: string; readonly cancelled: boolean }>;
  readonly attempts: ReadonlyMap<string, KnownAttempt>;
  readonly backfills: ReadonlySet<string>;
}

/** An attempt in one history. */
export interface KnownAttempt {
  readonly id: string;
  readonly runId: string;
  readonly ordinal: number;
  readonly state: string;
  /** Its acknowledged outcome; null while it has none. */
  readonly ended: string | null;
  readonly lines: number;
}

/** Reads what a database holds now. */
export async function readHistory(sql: Sql): Promise<History> {
  const runs = await sql<{ id: string; state: string; cancelled: boolean }[]>`
    select id, state, cancel_requested_at is not null as cancelled from run
    union all select id, state, cancel_requested_at is not null from run_history`;
  const attempts = await sql<KnownAttempt[]>`
    select id, run_id as "runId", ordinal, state, next_line::int as lines,
      case when ended_at is not null then concat_ws('/', state, cause) end as ended from attempt`;
  const backfills = await sql<{ id: string }[]>`select id from backfill`;
  return {
    runs: new Map(runs.map(({ id, ...row }) => [id, row])),
    attempts: new Map(attempts.map((row) => [row.id, row])),
    backfills: new Set(backfills.map(({ id }) => id)),
  };
}
