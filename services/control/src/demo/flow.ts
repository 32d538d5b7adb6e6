import type { Cause, ScheduleSettingsInput, SpecInput } from "@towpath/contract";
import type { Random } from "./random.ts";

/** A stage of a flow: one call of a task, or one call for each of `items`, in parallel. */
export interface Stage {
  readonly task: string;
  /** The stage's share of the run's time, as a weight among the stages. */
  readonly weight: number;
  readonly items?: readonly string[];
  /** Log lines of each call. `{n}`, `{item}` and `{ms}` are replaced. */
  readonly logs?: readonly string[];
}

/** A kind of failure of a flow's runs. */
export interface Failure {
  /** How many of a thousand runs fail this way. */
  readonly perMille: number;
  readonly task: string;
  readonly cause: Cause;
  readonly name: string;
  readonly message: (random: Random) => string;
  /** Stack frames of the flow's code, innermost first. */
  readonly frames: readonly string[];
  /** The last log line before the failure. */
  readonly log?: string;
}

/** A deployment of the demo, with the properties of its runs. */
export interface DemoFlow {
  readonly name: string;
  readonly pool: string;
  readonly medianMs: number;
  /** The standard deviation of the durations' logarithm. */
  readonly spread: number;
  readonly stages: readonly Stage[];
  readonly failures: readonly Failure[];
  readonly schedule?: ScheduleSettingsInput;
  /** Runs a day that people start. */
  readonly byHand?: number;
  /** Automatic retries of a run. Most failures succeed on retry. */
  readonly retries?: number;
  readonly tags: readonly string[];
  /** The ages of its versions in days, oldest first. */
  readonly deployedDaysAgo: readonly number[];
  readonly spec?: Partial<SpecInput>;
  readonly parameters?: (random: Random, atMs: number) => Record<string, string | number | boolean>;
  /** Whether runs fail during outages of the warehouse. */
  readonly usesWarehouse?: boolean;
}

/** The size of the demo. */
export interface Extent {
  readonly days: number;
  /** Calls of the one large map. */
  readonly mappedTasks: number;
  /** Lines of the one long log. */
  readonly logLines: number;
  /** Milliseconds between instants of the most frequent schedules. */
  readonly stretch: number;
}

/** The size for people: 12 weeks and 100,000 runs. */
export const WHOLE: Extent = { days: 85, mappedTasks: 10_000, logLines: 1_000_000, stretch: 1 };
/** The size for tests, with a few examples of everything. */
export const SMALL: Extent = { days: 12, mappedTasks: 400, logLines: 5_000, stretch: 10 };
