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
    };

/** How a run ends by an error: cancelled, or out of time, where it was asked to stop before. */
export function endBy(error: unknown, asked: AbortSignal): RunEnd {
  if (!asked.aborted) return { outcome: "failed", error, stop: null };
  const reason: unknown = asked.reason;
  const stop = reason instanceof Cancelled ? reason.runCause : "user";
  // An evicted attempt has not failed for good: its run goes on elsewhere.
  if (!(reason instanceof Cancelled) || stop === "user" || stop === "evicted")
    return { outcome: "cancelled", error, stop };
  return { outcome: "failed", error: new Stopped(reason, error), stop };
}
