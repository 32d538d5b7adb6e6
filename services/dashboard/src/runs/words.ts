import { type RunSummary, shortId, type Trigger } from "@towpath/contract";

/** The trigger of a run, short enough for a column. */
export function triggerWords(trigger: Trigger): string {
  switch (trigger.kind) {
    case "person":
      return trigger.name;
    case "run":
      return trigger.task === undefined
        ? `run ${shortId(trigger.runId)}`
        : `task of ${shortId(trigger.runId)}`;
    case "rerun":
      return `rerun of ${shortId(trigger.runId)}`;
    case "schedule":
      return `schedule ${trigger.schedule}`;
    case "backfill":
      return `backfill of ${trigger.schedule}`;
  }
}

/** The meaning of the derived labels. */
export const LABELS: Record<RunSummary["labels"][number], string> = {
  late: "The run is due, and no worker has claimed it for a while.",
  disconnected: "The worker has stopped renewing its lease. The run may still continue.",
};
