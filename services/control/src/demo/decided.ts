import type { Backfill, ScheduleInstant } from "@towpath/contract";
import { and, eq } from "#sql";
import { type Deps, insertAll, inTransaction, type Tx } from "../kernel/index.ts";
import { backfill, backfillRun, schedule, scheduleInstant } from "../schedules/table.ts";

/** A schedule of the demo, by its deployment and name. */
interface ScheduleName {
  readonly workspaceId: string;
  readonly deployment: string;
  readonly name: string;
}

async function scheduleNamed(tx: Tx, { workspaceId, deployment, name }: ScheduleName) {
  const [row] = await tx
    .select()
    .from(schedule)
    .where(
      and(
        eq(schedule.workspaceId, workspaceId),
        eq(schedule.deployment, deployment),
        eq(schedule.name, name),
      ),
    );
  if (row === undefined) throw new RangeError(`${deployment} has no schedule ${name}`);
  return row;
}

/** The decision about a past instant: a run, or the reason for skipping it. */
export interface DecidedInstant {
  readonly at: Date;
  /** The last instant of a range that one decision skips. */
  readonly until?: Date;
  readonly runId: string | null;
  readonly skipped: ScheduleInstant["skipped"];
}

/** The most instants in one statement. */
const BATCH = 5_000;

/** Writes the decisions about past instants of a schedule. An instant that has a decision keeps it. */
export function insertDecided(
  deps: Deps,
  args: ScheduleName & { readonly decided: readonly DecidedInstant[] },
): Promise<void> {
  return inTransaction(deps, async (tx) => {
    const { workspaceId, id } = await scheduleNamed(tx, args);
    const rows = args.decided.map(({ at, until = null, runId, skipped }) => ({
      workspaceId,
      scheduleId: id,
      at,
      until,
      runId,
      skipped,
      decidedAt: at,
    }));
    for (let from = 0; from < rows.length; from += BATCH)
      await insertAll(tx, scheduleInstant, rows.slice(from, from + BATCH));
    const last = args.decided.findLast((one) => one.runId !== null);
    if (last !== undefined)
      await tx
        .update(schedule)
        .set({ lastRunId: last.runId })
        .where(and(eq(schedule.workspaceId, workspaceId), eq(schedule.id, id)));
  });
}

/** A backfill with its runs, in the order of the backfill. */
interface PastBackfill extends ScheduleName {
  readonly from: Date;
  readonly to: Date;
  readonly concurrency: number;
  readonly instants: number;
  readonly state: Backfill["state"];
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
  readonly runs: readonly { readonly at: Date; readonly runId: string; readonly completed: boolean | null }[];
}

/** Writes a backfill with its runs. One that is `running` continues. */
export function insertBackfill(deps: Deps, id: string, args: PastBackfill): Promise<void> {
  return inTransaction(deps, async (tx) => {
    const { workspaceId, deployment, settings } = await scheduleNamed(tx, args);
    await tx.insert(backfill).values({
      id,
      workspaceId,
      deployment,
      schedule: args.name,
      settings,
      parameters: settings.parameters,
      from: args.from,
      to: args.to,
      order: "oldest",
      concurrency: args.concurrency,
      state: args.state,
      instants: args.instants,
      created: args.runs.length,
      cursorAt: args.runs.at(-1)?.at ?? null,
      createdBy: args.createdBy,
      createdAt: args.createdAt,
      endedAt: args.endedAt,
    });
    await insertAll(
      tx,
      backfillRun,
      args.runs.map((run) => ({ ...run, backfillId: id, workspaceId })),
    );
  });
}
