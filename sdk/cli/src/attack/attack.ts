import type { Stage } from "./stage.ts";
import type { Verdict } from "./verdict.ts";

/** Attacks of one group are played against one worker, at the same time as those of other groups. */
export const GROUPS = [
  "specs",
  "assignments",
  "answers",
  "shapes",
  "pace",
  "flows",
  "refs",
  "stored",
  "sealed",
  "settings",
  "engines",
] as const;
/** One group. */
export type Group = (typeof GROUPS)[number];

/** One attack of a hostile control plane. */
export interface Attack {
  readonly name: string;
  readonly group: Group;
  /** What the liar does, for people. */
  readonly tries: string;
  /** The wire fields that it abuses: `claim.assignments[].spec`. A `*` at the end stands for every field below. */
  readonly fields: readonly string[];
  /** Whether it needs the worker for itself. Others of its group run at the same time. @default false */
  readonly isAlone?: boolean;
  readonly play: (stage: Stage) => Promise<Verdict>;
}
