import { RUN_TRANSITIONS } from "@towpath/contract";
import { type SQL, sql } from "drizzle-orm";
import { type Clock, now, type Queryable } from "../../kernel/index.ts";
import { rows, textArray } from "./rows.ts";

/** The most runs that one round looks at. */
export const EXPIRY_BATCH = 200;

/** Milliseconds until the first run that has not started is given up, or null. Index run_expiry. */
export function untilExpiry(clock: Clock): SQL {
  return sql`select extract(epoch from min(given_up_at) - ${now(clock)}) * 1000 from run
    where given_up_at is not null and state = any(${textArray(RUN_TRANSITIONS.expire.from)}::text[])`;
}

/** Runs that have not started in time, without locks: at most EXPIRY_BATCH. Index run_expiry. */
export function listExpired(
  from: Queryable,
  clock: Clock,
): Promise<{ workspaceId: string; runId: string }[]> {
  return rows(
    from,
    sql`select workspace_id as "workspaceId", id as "runId" from run
      where given_up_at <= ${now(clock)} and state = any(${textArray(RUN_TRANSITIONS.expire.from)}::text[])
      order by given_up_at limit ${EXPIRY_BATCH}`,
  );
}
