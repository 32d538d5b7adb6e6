import type { Checked } from "../schema/check.ts";

/** What a checking thread is asked. Schemas and values cross as text: to copy that costs the least. */
export interface CheckRequest {
  readonly schema: {
    readonly key: string;
    /** Null: the thread has it. */
    readonly text: string | null;
    /** Schemas to forget first. */
    readonly forget: readonly string[];
  };
  readonly values: readonly string[];
  readonly root: string;
  readonly steps: number;
}

/** What it answers: what came of the first values, one at least. It hands the rest back when others might wait. */
export interface Answered {
  readonly checked: readonly Checked[];
}
