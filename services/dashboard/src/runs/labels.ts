import type { RunSummary } from "@towpath/contract";

/** The meaning of the derived labels. */
export const LABELS: Record<RunSummary["labels"][number], string> = {
  late: "The run is due, and no worker has claimed it for a while.",
  disconnected: "The worker has stopped renewing its lease. The run may still continue.",
};
