import {
  FINAL_RUN_STATES,
  type RunDurations,
  type RunState,
  type RunSummary,
  workTimeOf,
} from "@towpath/contract";

/** A run of the chart. */
export type TimedRun = RunDurations["items"][number];

/** The series of the chart, each with a colour and a shape. */
export const SERIES = [
  { label: "completed", colour: "--good", mark: "dot", sign: "●", text: "text-good" },
  { label: "failed", colour: "--bad", mark: "cross", sign: "✕", text: "text-bad" },
  { label: "cancelled", colour: "--faint", mark: "ring", sign: "○", text: "text-faint" },
  { label: "not ended", colour: "--accent", mark: "triangle", sign: "▲", text: "text-accent" },
] as const;

const NOT_ENDED = SERIES.length - 1;
const SERIES_OF: Partial<Record<RunState, number>> = { completed: 0, failed: 1, crashed: 1, cancelled: 2 };

/** One run in the chart: its creation time, its working time, and its series. */
export interface DurationPoint {
  readonly run: TimedRun;
  readonly createdMs: number;
  readonly tookMs: number;
  readonly series: number;
}

/**
 * The points of runs, the oldest first. A listed run is newer than the same run of the chart.
 * @param args.now the end of unfinished runs, milliseconds since 1970
 */
export function pointsOf(args: {
  timed: readonly TimedRun[];
  listed: readonly RunSummary[];
  now: number;
}): DurationPoint[] {
  const all = new Map<string, TimedRun>([...args.timed, ...args.listed].map((run) => [run.id, run]));
  return [...all.values()]
    .flatMap((run) => pointOf(run, args.now))
    .sort((one, other) => one.createdMs - other.createdMs);
}

function pointOf(run: TimedRun, now: number): DurationPoint[] {
  const times = workTimeOf(run, now);
  if (times === null) return [];
  const isFinal = FINAL_RUN_STATES.some((state) => state === run.state);
  return [
    {
      run,
      createdMs: Date.parse(run.createdAt),
      // A logarithmic scale has no zero.
      tookMs: Math.max(1, times.workMs),
      series: isFinal ? (SERIES_OF[run.state] ?? 0) : NOT_ENDED,
    },
  ];
}

/** The points as columns: seconds since 1970, and milliseconds for each series. */
export function columnsOf(points: readonly DurationPoint[]): [number[], ...(number | null)[][]] {
  const times = points.map(({ createdMs }) => createdMs / 1000);
  return [
    times,
    ...SERIES.map((_, at) => points.map(({ series, tookMs }) => (series === at ? tookMs : null))),
  ];
}

/** A position on the screen, pixels. */
export interface Spot {
  readonly left: number;
  readonly top: number;
}

/** The index of the nearest position within `withinPx`. Null if there is none. */
export function nearestTo(spot: Spot, places: readonly Spot[], withinPx: number): number | null {
  let nearest: number | null = null;
  let best = withinPx ** 2;
  for (const [index, place] of places.entries()) {
    const far = (place.left - spot.left) ** 2 + (place.top - spot.top) ** 2;
    if (far > best) continue;
    best = far;
    nearest = index;
  }
  return nearest;
}
