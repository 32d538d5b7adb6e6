import type { ListedWait } from "./waits.ts";

type DescribedWait = Pick<ListedWait, "kind" | "title" | "event" | "childRunId" | "job" | "satisfyAt">;

/** A short text of what a wait is for. */
export function waitText({ kind, title, event, childRunId, job, satisfyAt }: DescribedWait): string {
  switch (kind) {
    case "for":
    case "until":
      return satisfyAt ?? "a time";
    case "event":
      return `event ${event?.name}${event?.key ? ` about "${event.key}"` : ""}`;
    case "input":
      return title ?? "an answer";
    case "run":
      return `the end of run ${childRunId}`;
    case "job":
      return `job ${job?.name}: ${job?.says ?? job?.state}`;
  }
}
