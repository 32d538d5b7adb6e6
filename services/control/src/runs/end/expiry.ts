import { type Cause, RUN_TRANSITIONS } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import { type Clock, now, type Queryable, rows, type Tx, textArray, type Which } from "../../kernel/index.ts";
import { runColumns } from "../moves/run-columns.ts";

/** The most runs that one round looks at. */
export const EXPIRY_BATCH = 200;

/** Why a run is given up, and the column that says when. */
const GIVEN_UP = {
  /** It was not started in time. Index run_expiry. */
  expired: sql.raw("given_up_at"),
  /** All of it took too long. Index run_ends_by. */
  "run-timeout": sql.raw("ends_by"),
} as const satisfies Partial<Record<Cause, SQL>>;
export type GivenUp = keyof typeof GIVEN_UP;

const expires = (why: GivenUp): SQL =>
  sql`${GIVEN_UP[why]} is not null and state = any(${textArray(RUN_TRANSITIONS.expire.from)}::text[])`;

/** Milliseconds until the first run is given up that no process holds, or null. */
export function untilExpiry(clock: Clock, among: Which["among"]): SQL {
  const first = (
    why: GivenUp,
  ) => sql`(select ${GIVEN_UP[why]} from run r where ${expires(why)} and ${among(runColumns)}
    order by ${GIVEN_UP[why]} limit 1)`;
  return sql`select extract(epoch from least(${first("expired")}, ${first("run-timeout")}) - ${now(clock)}) * 1000`;
}

/** A run whose time is up. */
export interface ExpiredRun {
  readonly workspaceId: string;
  readonly id: string;
  readonly why: GivenUp;
}

/** Runs whose time is up and that no process holds, without locks. */
export function listExpired(from: Queryable, clock: Clock, which: Which): Promise<ExpiredRun[]> {
  const expired = (
    why: GivenUp,
  ) => sql`(select r.workspace_id as "workspaceId", r.id, ${why}::text as why from run r
      where ${GIVEN_UP[why]} <= ${now(clock)} and ${expires(why)} and ${which.among(runColumns)}
      order by ${GIVEN_UP[why]} limit ${which.limit})`;
  return rows(from, sql`${expired("expired")} union all ${expired("run-timeout")} limit ${which.limit}`);
}

/** Whether the time of a run that the caller has locked is up. */
export async function isGivenUp(
  tx: Tx,
  clock: Clock,
  args: { workspaceId: string; runId: string; why: GivenUp },
): Promise<boolean> {
  const found = await rows(
    tx,
    sql`select 1 from run where workspace_id = ${args.workspaceId} and id = ${args.runId} and ${GIVEN_UP[args.why]} <= ${now(clock)}`,
  );
  return found.length > 0;
}
