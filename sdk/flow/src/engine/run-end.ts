import type { Ref } from "@towpath/contract";

/** How a run ended. `error` is what was thrown, as it is. */
export type RunEnd =
  | { readonly outcome: "completed"; readonly value: unknown; readonly result: Ref | null }
  | { readonly outcome: "suspended"; readonly waits: string[] }
  | { readonly outcome: "failed" | "cancelled"; readonly error: unknown };
