import type { Ref } from "@towpath/contract";
import { Cancelled, Stopped } from "../problem.ts";

/** How a run ended. `error` is what was thrown, as it is. */
export type RunEnd =
  | { readonly outcome: "completed"; readonly value: unknown; readonly result: Ref | null }
  | { readonly outcome: "suspended"; readonly waits: string[] }
  | {
      readonly outcome: "failed" | "cancelled";
      readonly error: unknown;
      /** What it was stopped for: a cause. Null: it was not. */
      readonly stop: string | null;
      /** The task calls whose errors it ended by; null: more than can be told. */
      readonly failedBy: string[] | null;
    };

/** What a run ended by, and the task calls that it came from. */
type Thrown = Pick<Extract<RunEnd, { error: unknown }>, "error" | "failedBy">;

/** How a run ends by an error: cancelled, or out of time, where it was asked to stop before. */
export function endBy({ error, failedBy }: Thrown, asked: AbortSignal): RunEnd {
  if (!asked.aborted) return { outcome: "failed", error, failedBy, stop: null };
  const reason: unknown = asked.reason;
  const stop = reason instanceof Cancelled ? reason.runCause : "user";
  // An evicted attempt has not failed for good: its run goes on elsewhere.
  if (!(reason instanceof Cancelled) || stop === "user" || stop === "evicted")
    return { outcome: "cancelled", error, failedBy, stop };
  return { outcome: "failed", error: new Stopped(reason, error), failedBy, stop };
}
