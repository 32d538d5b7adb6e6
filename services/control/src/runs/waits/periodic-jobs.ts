import { EVENTS_KEPT_MS } from "@towpath/contract";
import { type PeriodicJob, perRowJob } from "../../kernel/index.ts";
import {
  forgetOrphaning,
  listOrphans,
  ORPHANS_BATCH,
  type Orphan,
  untilOrphans,
} from "../dependents/store.ts";
import { cancelIn } from "../end/cancel.ts";
import { FORGET_MAX } from "../history/retention.ts";
import { forgetEvents } from "./events-store.ts";
import { settleWaits } from "./resume.ts";
import { type DueWait, listDueWaits, untilWaitDue, WAITS_BATCH } from "./store.ts";

/**
 * Settles waits whose time has come: a time wait is over, an event or a run's end was noted on them, or their deadline
 * has passed. Nothing else reads waits in a loop, so ten thousand waits cost only their index entries.
 */
export const waitsPeriodicJob = perRowJob<DueWait>({
  name: "waits",
  everyMs: 1_000,
  hold: "claims",
  batch: WAITS_BATCH,
  nextInMs: ({ clock }, among) => untilWaitDue(clock, among),
  find: (from, { clock }, which) => listDueWaits(from, clock, which),
  async act(tx, deps, due) {
    const waits = due.map(({ id, subjectId, satisfied }) => {
      return { id, runId: subjectId, by: satisfied ? ("satisfy" as const) : ("expire" as const) };
    });
    await settleWaits(tx, deps, { workspaceId: due[0]?.workspaceId ?? "", waits });
  },
});

/** Deletes events that are older than any look-back. */
export const forgetEventsPeriodicJob: PeriodicJob = {
  name: "forget-events",
  everyMs: 60_000,
  async runOnce({ database, clock }) {
    const gone = await forgetEvents(database.db, clock, { keptMs: EVENTS_KEPT_MS });
    return { worked: gone === FORGET_MAX };
  },
};

/** The reason of a run that is cancelled with its parent. */
const REASON = "The run that started it has ended.";

/**
 * Cancels the children of runs that have ended, where they are to end with them. A periodic job, because the end of a run must not
 * take the locks of others; the row that it leaves with the end, in the same commit, cannot be missed.
 */
export const orphansPeriodicJob = perRowJob<Orphan>({
  name: "orphans",
  everyMs: 5_000,
  hold: "claims-each",
  batch: ORPHANS_BATCH,
  nextInMs: (_deps, among) => untilOrphans(among),
  async find(from, _deps, which) {
    const orphans = await listOrphans(from, which);
    if (orphans.length === 0) await forgetOrphaning(from);
    return orphans;
  },
  async act(tx, deps, orphans) {
    for (const orphan of orphans) {
      const { workspaceId, id } = orphan;
      await cancelIn(tx, deps, { workspaceId, runId: id, reason: REASON });
      await forgetOrphaning(tx, orphan);
    }
  },
});
