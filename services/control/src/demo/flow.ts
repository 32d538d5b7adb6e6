import type { Cause, ScheduleSettingsInput, SpecInput } from "@towpath/contract";
import type { Random } from "./random.ts";

/** A part of a flow: one task, or as many calls of it as `items` says, all at once. */
export interface Stage {
  readonly task: string;
  /** Its part of the run's time, as a weight among the stages. */
  readonly weight: number;
  readonly items?: readonly string[];
  /** What it logs, with `{n}`, `{item}` and `{ms}` filled in. */
  readonly logs?: readonly string[];
}

/** One way in which runs of a flow fail. */
export interface Failure {
  /** How many of a thousand runs. */
  readonly perMille: number;
  readonly task: string;
  readonly cause: Cause;
  readonly name: string;
  readonly message: (random: Random) => string;
  /** Frames of the flow's own code, the deepest first. */
  readonly frames: readonly string[];
  /** The last thing that the log says before. */
  readonly log?: string;
}

/** A deployment of the demo, and what its runs are like. */
export interface DemoFlow {
  readonly name: string;
  readonly pool: string;
  readonly medianMs: number;
  /** How far durations lie apart: the standard deviation of their logarithm. */
  readonly spread: number;
  readonly stages: readonly Stage[];
  readonly failures: readonly Failure[];
  readonly schedule?: ScheduleSettingsInput;
  /** Runs that people ask for, per day. */
  readonly byHand?: number;
  /** Automatic retries of a run: most failures are then seen once and mended. */
  readonly retries?: number;
  readonly tags: readonly string[];
  /** How long ago its versions were deployed, days, oldest first. */
  readonly deployedDaysAgo: readonly number[];
  readonly spec?: Partial<SpecInput>;
  readonly parameters?: (random: Random, atMs: number) => Record<string, string | number | boolean>;
  /** Whether the warehouse's outages fail it. */
  readonly usesWarehouse?: boolean;
}

/** How much of the demo is made. */
export interface Extent {
  readonly days: number;
  /** Calls of the one large map. */
  readonly mappedTasks: number;
  /** Lines of the one long log. */
  readonly logLines: number;
  /** Milliseconds between instants of the schedules that fire most. */
  readonly stretch: number;
}

/** What people see: 12 weeks and 100,000 runs. */
export const WHOLE: Extent = { days: 85, mappedTasks: 10_000, logLines: 1_000_000, stretch: 1 };
/** What tests need: some of everything. */
export const SMALL: Extent = { days: 12, mappedTasks: 400, logLines: 5_000, stretch: 10 };
