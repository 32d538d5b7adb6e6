import { shortId, type Trigger } from "@towpath/contract";

/** Who or what asked for a run, in as few words as a column has room for. */
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
