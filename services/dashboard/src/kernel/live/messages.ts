import type { FeedChanges, RunEvent } from "@towpath/contract";

/**
 * The status of the stream. For `lost` and `signed-out`, `sinceMs` is the time of the last event, milliseconds since
 * 1970.
 */
export interface Connection {
  readonly state: "opening" | "live" | "lost" | "signed-out";
  readonly sinceMs: number;
}

/**
 * A message from a tab to the hub: the runs that it follows now. `again` names a run whose events it needs from the
 * beginning.
 */
export type ToHub =
  | {
      readonly type: "follow";
      readonly tab: string;
      readonly runs: readonly string[];
      readonly again: string | null;
    }
  | { readonly type: "bye" };

/** A message from the hub to a tab. */
export type FromHub =
  | { readonly type: "standing"; readonly standing: Connection }
  | { readonly type: "news"; readonly changes: FeedChanges }
  /** Changes before this position of the feed were missed. What was read earlier must be read again. */
  | { readonly type: "missed"; readonly feedId: string }
  | {
      readonly type: "run";
      readonly runId: string;
      readonly begins: boolean;
      readonly events: readonly RunEvent[];
    }
  | { readonly type: "refused"; readonly runId: string; readonly code: string; readonly detail: string };

/** A tab's link to the hub of its browser. */
export interface HubLink {
  say(message: ToHub): void;
}

/** Receives the messages of the hub. */
export type Hear = (message: FromHub) => void;

/** The name of the lock that a tab holds as long as it lives. */
const lockOf = (tab: string) => `towpath tab ${tab}`;

/** Holds a tab's lock until the tab ends for any reason. */
export function liveAs(tab: string): void {
  void navigator.locks?.request(lockOf(tab), () => new Promise(() => {})).catch(() => {});
}

/** Calls `gone` after the tab has ended. Never, if the browser has no locks. */
export function untilGone(tab: string, gone: () => void): void {
  void navigator.locks?.request(lockOf(tab), gone).catch(() => {});
}
