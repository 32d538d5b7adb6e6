import type { RunSummary } from "@towpath/contract";

/** What the derived labels mean. */
export const LABELS: Record<RunSummary["labels"][number], string> = {
  late: "It is due, and no worker has taken it for a while.",
  disconnected: "Its worker has stopped renewing; nothing is decided yet.",
};
