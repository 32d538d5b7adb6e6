import type { PageSource } from "./earlier.ts";

/** What a run goes on from, and how it tells whether an earlier result still holds. */
export interface Resume {
  /** The first run of a chain of reruns. */
  readonly origin: string;
  /** Versions of tasks by name. */
  readonly codeVersions: Readonly<Record<string, string>>;
  /** The version of every other task; null where nobody knows: its function's own text counts. */
  readonly code: string | null;
  /** Where results of earlier attempts come from; null for a first attempt. */
  readonly earlier: PageSource | null;
  /** Whether results are kept unless a task says so: only where a later attempt can find them. */
  readonly keeps: boolean;
  /**
   * Whether who is told of this attempt also has what earlier attempts of the run told: an unchanged result or failure of theirs
   * is then not told again, so that a resume costs no record for each task that was done. @default false
   */
  readonly knowsEarlier?: boolean;
}
