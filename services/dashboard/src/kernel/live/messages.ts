import type { FeedChanges, RunEvent } from "@towpath/contract";

/** Whether the stream is there. `lost` and `signed-out` since when nothing was heard, milliseconds since 1970. */
export interface Standing {
  readonly state: "opening" | "live" | "lost" | "signed-out";
  readonly sinceMs: number;
}

/** What a tab says to the hub: the runs that it follows from now on. `again` is one that it wants told from its beginning. */
export type ToHub =
  | {
      readonly type: "follow";
      readonly tab: string;
      readonly runs: readonly string[];
      readonly again: string | null;
    }
  | { readonly type: "bye" };

/** What the hub tells a tab. */
export type FromHub =
  | { readonly type: "standing"; readonly standing: Standing }
  /** Null: changes were missed, and all that is shown is to be read anew. */
  | { readonly type: "news"; readonly changes: FeedChanges | null }
  | {
      readonly type: "run";
      readonly runId: string;
      readonly begins: boolean;
      readonly events: readonly RunEvent[];
    }
  | { readonly type: "refused"; readonly runId: string; readonly code: string; readonly detail: string };

/** How a tab speaks with the hub of its browser. */
export interface Line {
  say(message: ToHub): void;
}

/** Whoever hears what the hub tells. */
export type Hear = (message: FromHub) => void;
