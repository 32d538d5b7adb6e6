import { EVENTS_KEPT_MS } from "@towpath/contract";
import { type Deps, type Duty, inTransaction } from "../../kernel/index.ts";
import { FORGET_MAX } from "../store/retention.ts";
import { forgetEvents } from "./events-store.ts";
import { settleWaits } from "./resume.ts";
import { type DueWait, listDueWaits, untilWaitDue, WAITS_BATCH } from "./store.ts";

/**
 * Settles waits whose time has come: because time was all they wait for, an event or another run's end has been noted on
 * them, or their deadline is over. Nothing else ever looks at what runs wait for: ten thousand that do cost an index entry
 * each.
 */
export const waitsDuty: Duty = {
  name: "waits",
  everyMs: 1_000,
  nextInMs: ({ clock }) => untilWaitDue(clock),
  async runOnce(deps) {
    const due = await listDueWaits(deps.database.db, deps.clock);
    for (const [workspaceId, waits] of Map.groupBy(due, (one) => one.workspaceId))
      await settleDue(deps, { workspaceId, waits });
    return { worked: due.length === WAITS_BATCH };
  },
};

async function settleDue(deps: Deps, a: { workspaceId: string; waits: readonly DueWait[] }): Promise<void> {
  const { workspaceId } = a;
  await inTransaction(deps, async (tx) => {
    const waits = a.waits.map(({ id, runId, satisfied }) => {
      const by = satisfied ? ("satisfy" as const) : ("expire" as const);
      return { id, runId, by };
    });
    await settleWaits(tx, deps, { workspaceId, waits });
  });
}

/** Forgets events that no look-back reaches any more. */
export const forgetEventsDuty: Duty = {
  name: "forget-events",
  everyMs: 60_000,
  async runOnce({ database, clock }) {
    const gone = await forgetEvents(database.db, clock, { keptMs: EVENTS_KEPT_MS });
    return { worked: gone === FORGET_MAX };
  },
};
