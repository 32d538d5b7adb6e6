import { EVENTS_KEPT_MS } from "@towpath/contract";
import { type PeriodicJob, perRowJob } from "../../kernel/index.ts";
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
