import { type Cause, isDue, RUN_TRANSITIONS } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import {
  type Clock,
  type Deps,
  DUE,
  now,
  perRowJob,
  type Queryable,
  rows,
  type Tx,
  textArray,
  type Which,
  wakeAfterCommit,
} from "../../kernel/index.ts";
import { leaveWaitList, returnSlots } from "../admit/admission.ts";
import { releaseDependents } from "../dependents/release.ts";
import { moveAttempt, moveRun } from "../moves/apply.ts";
import { findActiveAttemptId, lockActiveAttempt, lockRun } from "../moves/locks.ts";
import { runColumns } from "../moves/run-columns.ts";
import { runCan } from "../moves/state.ts";

/** The most runs that one round looks at. */
const EXPIRY_BATCH = 200;

/** The reason for failing a run, and the column of its time limit. */
const GIVEN_UP = {
  /** It was not started in time. Index run_expiry. */
  expired: sql.raw("given_up_at"),
  /** All of it took too long. Index run_ends_by. */
  "run-timeout": sql.raw("ends_by"),
} as const satisfies Partial<Record<Cause, SQL>>;
type GivenUp = keyof typeof GIVEN_UP;

const expires = (why: GivenUp): SQL =>
  sql`${GIVEN_UP[why]} is not null and state = any(${textArray(RUN_TRANSITIONS.expire.from)}::text[])`;

/** Milliseconds until the first run without a process reaches its time limit, or null. */
function untilExpiry(clock: Clock, among: Which["among"]): SQL {
  const first = (
    why: GivenUp,
  ) => sql`(select ${GIVEN_UP[why]} from run r where ${expires(why)} and ${among(runColumns)}
    order by ${GIVEN_UP[why]} limit 1)`;
  return sql`select extract(epoch from least(${first("expired")}, ${first("run-timeout")}) - ${now(clock)}) * 1000`;
}

/** A run whose time is up. */
interface ExpiredRun {
  readonly workspaceId: string;
  readonly id: string;
  readonly why: GivenUp;
}

/** Runs whose time is up and that have no process, without locks. */
function listExpired(from: Queryable, clock: Clock, which: Which): Promise<ExpiredRun[]> {
  const expired = (
    why: GivenUp,
  ) => sql`(select r.workspace_id as "workspaceId", r.id, ${why}::text as why from run r
      where ${GIVEN_UP[why]} <= ${now(clock)} and ${expires(why)} and ${which.among(runColumns)}
      order by ${GIVEN_UP[why]} limit ${which.limit})`;
  return rows(from, sql`${expired("expired")} union all ${expired("run-timeout")} limit ${which.limit}`);
}

/** Whether the time of a run that the caller has locked is up. */
async function isGivenUp(
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

/** Fails runs that no worker started in time, and runs without a process whose total time is up. */
export const expirePeriodicJob = perRowJob<ExpiredRun>({
  name: "expire",
  everyMs: 1_000,
  hold: "claims-each",
  batch: EXPIRY_BATCH,
  nextInMs: ({ clock }, among) => untilExpiry(clock, among),
  find: (from, { clock }, which) => listExpired(from, clock, which),
  async act(tx, deps, expired) {
    for (const one of expired) await expireIn(tx, deps, one);
  },
});

/** Fails a run whose time is up, unless a worker has taken it meanwhile. A running run is stopped by its worker. */
async function expireIn(tx: Tx, deps: Deps, { why, workspaceId, id }: ExpiredRun): Promise<void> {
  const a = { workspaceId, runId: id };
  const held = await lockActiveAttempt(tx, a);
  const live = await lockRun(tx, a);
  if (live === null || !runCan(live.state, "expire") || !(await isGivenUp(tx, deps.clock, { ...a, why })))
    return;
  // The attempt has changed: the next round finds the run.
  if ((await findActiveAttemptId(tx, a)) !== (held?.id ?? null)) return;
  if (live.state === "blocked") leaveWaitList(tx, deps, live);
  if (held !== null) {
    returnSlots(tx, deps, held);
    await moveAttempt(tx, deps.clock, { workspaceId, id: held.id, by: "expire", cause: why });
  }
  const row = await moveRun(tx, deps.clock, { workspaceId, id, by: "expire", cause: why });
  await releaseDependents(tx, deps, [row]);
  if (isDue(row.trigger)) wakeAfterCommit(tx, "change", DUE);
}
