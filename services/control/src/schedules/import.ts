import type { Backfill, ScheduleInstant } from "@towpath/contract";
import { type Deps, insertAll, inTransaction } from "../kernel/index.ts";
import { insertBackfill } from "./backfills/store.ts";
import { scheduleNamed } from "./schedules.ts";
import { type ScheduleName, updateSchedule } from "./store.ts";
import { backfillRun, scheduleInstant } from "./table.ts";

/** What was decided at an instant before anybody kept it: a run, or why there was none. */
export interface DecidedInstant {
  readonly at: Date;
  /** The last instant of a stretch that was skipped as one. */
  readonly until?: Date;
  readonly runId: string | null;
  readonly skipped: ScheduleInstant["skipped"];
}

/** Instants that one statement writes. */
const BATCH = 5_000;

/**
 * Takes over what was decided at past instants of a schedule. What is known of an instant stands.
 * @throws Problem `schedule-not-found`.
 */
export function importDecided(
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
    if (last !== undefined) await updateSchedule(tx, { workspaceId, id, set: { lastRunId: last.runId } });
  });
}

/** A backfill that went on before anybody kept it, with its runs in its order. */
export interface EarlierBackfill extends ScheduleName {
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

/**
 * Takes over a backfill with its runs. One that is `running` goes on where it stands.
 * @throws Problem `schedule-not-found`.
 */
export function importBackfill(deps: Deps, id: string, args: EarlierBackfill): Promise<void> {
  return inTransaction(deps, async (tx) => {
    const { workspaceId, deployment, settings } = await scheduleNamed(tx, args);
    await insertBackfill(tx, {
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
