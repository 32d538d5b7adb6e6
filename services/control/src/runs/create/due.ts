import { sql } from "#sql";
import {
  type Clock,
  inParallel,
  lockedOf,
  now,
  perRowJob,
  type Queryable,
  rows,
  type Which,
} from "../../kernel/index.ts";
import { beginAttempts } from "../admit/admission.ts";
import { runColumns, runIsLimited } from "../moves/run-columns.ts";
import { enterAnew } from "./collide.ts";

/** The most runs that one round makes ready. */
const DUE_BATCH = 200;

/** A due run, and whether it needs slots. */
interface DueRun {
  readonly workspaceId: string;
  readonly id: string;
  readonly limited: boolean;
}

/** Locks due scheduled runs, earliest first; skips runs that another transaction holds. Index run_due. */
function lockDue(from: Queryable, clock: Clock, which: Which): Promise<DueRun[]> {
  return rows<DueRun>(
    from,
    sql`select r.workspace_id as "workspaceId", r.id, ${runIsLimited} as limited from run r
      where r.state = 'scheduled' and r.waits_until <= ${now(clock)} and ${which.among(runColumns)}
      order by r.waits_until limit ${which.limit} ${lockedOf(which, sql`r`)}`,
  );
}

/** Gives due scheduled runs their attempt, earliest first. Runs that need slots take them, or block. */
export const duePeriodicJob = perRowJob<DueRun>({
  name: "due",
  everyMs: 250,
  hold: "locks",
  batch: DUE_BATCH,
  nextInMs: (
    { clock },
    among,
  ) => sql`select extract(epoch from r.waits_until - ${now(clock)}) * 1000 from run r
    where r.waits_until is not null and ${among(runColumns)} order by r.waits_until limit 1`,
  find: (from, { clock }, which) => lockDue(from, clock, which),
  async act(tx, deps, due) {
    const byWorkspace = [...Map.groupBy(due, (one) => one.workspaceId)];
    for (const [workspaceId, ones] of byWorkspace) {
      const runIds = ones.filter((one) => one.limited).map((one) => one.id);
      await enterAnew(tx, deps, { workspaceId, runIds });
    }
    // At the top of an hour hundreds of workspaces have a run each: their statements do not wait for each other.
    await inParallel(
      byWorkspace.map(([workspaceId, ones]) => {
        const runs = ones.filter((one) => !one.limited);
        return beginAttempts(tx, deps, { workspaceId, by: "due", runs });
      }),
    );
  },
});
