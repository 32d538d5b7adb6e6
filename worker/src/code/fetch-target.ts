import type { CodeLimits } from "./limits.ts";

/** Where fetching writes, and how long it may take. */
export interface FetchTarget {
  /** An empty directory for the tree. */
  readonly treeDir: string;
  /** An empty directory for temporary files. The caller removes it. */
  readonly scratchDir: string;
  readonly limits: CodeLimits;
  readonly signal: AbortSignal;
}
