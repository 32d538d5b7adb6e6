import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { RunDurations, RunSummary } from "@towpath/contract";
import { type RefObject, useEffect, useMemo, useRef, useState } from "react";
import { client } from "../../kernel/client.ts";
import { nowMs, useNow } from "../../kernel/clock.ts";
import { counted, duration, localTime, zoneName } from "../../kernel/format.ts";
import { TIME_PASSES_MS } from "../../kernel/query.ts";
import { PartError } from "../../kernel/query-result.tsx";
import { useTheme } from "../../kernel/theme.ts";
import { StateBadge } from "../state-badge.tsx";
import { DurationPlot, type DurationPlotEvents, type Stretch } from "./duration-plot.ts";
import { type DurationPoint, pointsOf, SERIES, type Spot } from "./duration-points.ts";
import { type RunSearch, runQueryOf, without } from "./search.ts";

/** Width of a point's tooltip, pixels. */
const TOOLTIP_PX = 240;
/** How often the points of unfinished runs move, milliseconds. */
const MOVES_MS = 10_000;

/** The durations of the runs of a search. Listed runs are updated with the list, others at intervals. */
function useDurations(search: RunSearch) {
  return useQuery({
    queryKey: ["durations", without(search, "chart")],
    queryFn: ({ signal }) => client.listDurations({ query: runQueryOf(search, nowMs()) }, { signal }),
    refetchInterval: TIME_PASSES_MS,
    placeholderData: keepPreviousData,
  });
}

/** Keeps a chart in a box up to date with its points, the theme and the width. */
function usePlot(
  box: RefObject<HTMLDivElement | null>,
  args: { points: readonly DurationPoint[]; events: DurationPlotEvents },
) {
  const latest = useRef(args);
  latest.current = args;
  const [plot, setPlot] = useState<DurationPlot | null>(null);
  const theme = useTheme();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another theme has other colours.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const drawn = new DurationPlot(element, latest.current.points, {
      onPoint: (index) => latest.current.events.onPoint(index),
      onOpen: (index) => latest.current.events.onOpen(index),
      onZoom: (stretch) => latest.current.events.onZoom(stretch),
    });
    setPlot(drawn);
    const resized = new ResizeObserver(() => drawn.setWidth(element.clientWidth));
    resized.observe(element);
    return () => {
      resized.disconnect();
      drawn.destroy();
    };
  }, [box, theme]);
  // New points do not end a selection in progress.
  useEffect(() => plot?.setPoints(args.points), [plot, args.points]);
  return plot;
}

/** The tooltip of the selected point. */
function PointTooltip({ point, spot, width }: { point: DurationPoint; spot: Spot; width: number }) {
  const { run, tookMs } = point;
  const isRight = spot.left + TOOLTIP_PX > width;
  const left = isRight ? Math.max(0, spot.left - TOOLTIP_PX) : spot.left + 12;
  return (
    <>
      <span
        aria-hidden="true"
        className="pointer-events-none absolute size-3 -translate-1/2 rounded-full border-2 border-ink"
        style={spot}
      />
      <div
        data-told
        className="pointer-events-none absolute top-2 z-10 w-57 rounded-md border border-edge bg-surface px-2.5 py-1.5 text-12"
        style={{ left }}
      >
        <div className="truncate font-medium">{run.name ?? run.deployment}</div>
        {run.name !== null && <div className="truncate text-faint">{run.deployment}</div>}
        <div className="flex items-center justify-between gap-3">
          <StateBadge state={run.state} />
          <span className="tabular-nums">{duration(tookMs)}</span>
        </div>
        <div className="text-soft">Started {run.startedAt && localTime(run.startedAt)}</div>
      </div>
    </>
  );
}

const inWords = ({ run, tookMs }: DurationPoint) =>
  `${run.name ?? run.deployment}, ${run.state}, ${duration(tookMs)}, started ${run.startedAt && localTime(run.startedAt)}`;

function Caption({ found, shown }: { found: RunDurations | undefined; shown: number }) {
  const zone = zoneName(nowMs());
  return (
    <figcaption className="flex flex-wrap gap-x-4 px-2 text-11 text-faint">
      {found === undefined ? (
        "Loading durations…"
      ) : (
        <span>
          {found.since === null
            ? `${counted(shown, "run")} by creation time, ${zone}.`
            : `The newest ${counted(shown, "run")} , created since ${localTime(found.since)}.`}{" "}
          Click a point to open its run. Drag across a time range to filter the list.
        </span>
      )}
      <span className="ml-auto flex flex-wrap gap-x-4">
        {SERIES.map(({ label, sign, text }) => (
          <span key={label} className={text}>
            {sign} {label}
          </span>
        ))}
      </span>
    </figcaption>
  );
}

/** The points of a search, and the selected point. */
function usePoints(search: RunSearch, listed: readonly RunSummary[]) {
  const query = useDurations(search);
  const now = Math.floor(useNow(true) / MOVES_MS) * MOVES_MS;
  const points = useMemo(
    () => pointsOf({ timed: query.data?.items ?? [], listed, now }),
    [query.data, listed, now],
  );
  const [meantId, setMeantId] = useState<string | null>(null);
  const meant = points.findIndex(({ run }) => run.id === meantId);
  const mean = (index: number | null) => setMeantId(index === null ? null : (points[index]?.run.id ?? null));
  return { query, points, meant, mean };
}

/**
 * The durations of the runs of a search, by creation time. A click on a point opens its run. Dragging filters the list
 * by time. Arrow keys select a run, and Enter opens it.
 */
export default function DurationChart({
  search,
  listed,
  onZoom,
}: {
  search: RunSearch;
  listed: readonly RunSummary[];
  onZoom: (stretch: Stretch) => void;
}) {
  const navigate = useNavigate();
  const box = useRef<HTMLDivElement>(null);
  const { query, points, meant, mean } = usePoints(search, listed);
  const open = (index: number) => {
    const runId = points[index]?.run.id;
    if (runId !== undefined) void navigate({ to: "/runs/$runId", params: { runId } });
  };
  const plot = usePlot(box, { points, events: { onPoint: mean, onOpen: open, onZoom } });
  const point = points[meant];
  const spot = point && plot?.spotOf(meant);
  return (
    <figure className="mb-3 rounded-lg border border-line bg-surface p-2 has-focus-visible:outline-2 has-focus-visible:outline-accent">
      <div className="relative">
        <div ref={box} />
        <input
          type="range"
          aria-label="Runs by creation time: arrow keys select one, Enter opens it"
          aria-valuetext={point ? inWords(point) : "none selected"}
          className="sr-only"
          disabled={points.length === 0}
          max={Math.max(0, points.length - 1)}
          value={meant < 0 ? points.length - 1 : meant}
          onChange={(event) => mean(Number(event.target.value))}
          onFocus={() => mean(meant < 0 ? points.length - 1 : meant)}
          onBlur={() => mean(null)}
          onKeyDown={(event) => event.key === "Enter" && meant >= 0 && open(meant)}
        />
        {point && spot && <PointTooltip point={point} spot={spot} width={box.current?.clientWidth ?? 0} />}
      </div>
      <PartError query={query} />
      <Caption found={query.data} shown={points.length} />
    </figure>
  );
}
