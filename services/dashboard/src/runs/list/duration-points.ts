import { FINAL_RUN_STATES, type RunDurations, type RunState, type RunSummary } from "@towpath/contract";

/** A run as the chart of durations knows it. */
export type TimedRun = RunDurations["items"][number];

/** What the chart tells apart, by colour and by shape. */
export const SERIES = [
  { label: "completed", colour: "--good", mark: "dot", sign: "●", text: "text-good" },
  { label: "failed", colour: "--bad", mark: "cross", sign: "✕", text: "text-bad" },
  { label: "cancelled", colour: "--faint", mark: "ring", sign: "○", text: "text-faint" },
  { label: "not ended", colour: "--accent", mark: "triangle", sign: "▲", text: "text-accent" },
] as const;

const NOT_ENDED = SERIES.length - 1;
const SERIES_OF: Partial<Record<RunState, number>> = { completed: 0, failed: 1, crashed: 1, cancelled: 2 };

/** One run in the chart: when it was created, how long it took or has taken, and among which it is drawn. */
export interface DurationPoint {
  readonly run: TimedRun;
  readonly createdMs: number;
  readonly tookMs: number;
  readonly series: number;
}

/**
 * Points of runs, the oldest first. What the list knows of a run is newer than what the chart was told of it.
 * @param args.now until when those that have not ended have taken, milliseconds since 1970
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
  if (run.startedAt === null) return [];
  const isFinal = FINAL_RUN_STATES.some((state) => state === run.state);
  const untilMs = run.endedAt === null ? now : Date.parse(run.endedAt);
  return [
    {
      run,
      createdMs: Date.parse(run.createdAt),
      // The scale is logarithmic: it has no place for nothing.
      tookMs: Math.max(1, untilMs - Date.parse(run.startedAt)),
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

/** The place of a point on the screen, pixels. */
export interface Spot {
  readonly left: number;
  readonly top: number;
}

/** Which of these places is nearest to a spot, and not farther from it than `withinPx`; null: none. */
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
