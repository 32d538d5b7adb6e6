import type { RunSummary } from "@towpath/contract";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { duration } from "../../kernel/format.ts";
import { useTheme } from "../../kernel/theme.ts";

const HEIGHT_PX = 168;
const POINT_PX = 5;

/** What the chart tells apart, by colour and by shape; the rest is drawn as completed. */
const SERIES = [
  {
    ...{ label: "completed", colour: "--good", mark: "dot", sign: "●", text: "text-good" },
    states: ["completed", "running", "cancelling", "suspended"],
  },
  {
    label: "failed",
    colour: "--bad",
    mark: "cross",
    sign: "✕",
    text: "text-bad",
    states: ["failed", "crashed"],
  },
  {
    label: "cancelled",
    colour: "--faint",
    mark: "ring",
    sign: "○",
    text: "text-faint",
    states: ["cancelled"],
  },
] as const;

/** Durations that people count in, milliseconds: those within what is shown are marked. */
const DURATION_TICKS = [100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 6 * 3_600_000, 86_400_000];

/** How times are written, from the widest step to the narrowest: step in seconds, text, and its text where a year, a day… begins. */
const TIME_TICKS: NonNullable<Extract<uPlot.Axis["values"], unknown[][]>> = [
  [365 * 86_400, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * 86_400, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86_400, "{D} {MMM}", null, null, null, null, null, null, 1],
  [3_600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
];

/** Crosses at the points of a series. */
const crosses: uPlot.Series.Points.PathBuilder = (chart, series, from, to) => {
  const path = new Path2D();
  const half = (POINT_PX * devicePixelRatio) / 2;
  for (let index = from; index <= to; index++) {
    const [x, y] = [chart.data[0][index], chart.data[series]?.[index]];
    if (x == null || y == null) continue;
    const [px, py] = [chart.valToPos(x, "x", true), chart.valToPos(y, "y", true)];
    path.moveTo(px - half, py - half);
    path.lineTo(px + half, py + half);
    path.moveTo(px - half, py + half);
    path.lineTo(px + half, py - half);
  }
  return { stroke: path };
};

/** A colour of the theme as the canvas needs it: resolved. */
function colourOf(name: string, beside: HTMLElement): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  beside.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

type Column = (number | null)[];

function dataOf(runs: readonly RunSummary[]): [number[], ...Column[]] {
  const points = runs
    .flatMap((run) =>
      run.startedAt === null || run.endedAt === null
        ? []
        : [{ run, tookMs: Date.parse(run.endedAt) - Date.parse(run.startedAt) }],
    )
    .toSorted((a, b) => a.run.createdAt.localeCompare(b.run.createdAt));
  const times = points.map(({ run }) => Date.parse(run.createdAt) / 1000);
  const columns = SERIES.map(({ states }) =>
    points.map(({ run, tookMs }) =>
      states.some((state) => state === run.state) ? Math.max(1, tookMs) : null,
    ),
  );
  return [times, ...columns];
}

/** A stretch with room at both ends, so that its first and last point can be marked. Seconds. */
function padded(from: number, to: number): [number, number] {
  const room = Math.max(1, (to - from) * 0.03);
  return [from - room, to + room];
}

function optionsOf(box: HTMLElement, onZoom: (span: { from: string; to: string }) => void): uPlot.Options {
  const [ink, line] = [colourOf("--faint", box), colourOf("--line", box)];
  const axis = {
    stroke: ink,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
    font: "11px Inter",
  };
  return {
    ...{ width: box.clientWidth, height: HEIGHT_PX },
    legend: { show: false },
    cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
    scales: { x: { range: (_, from, to) => padded(from, to) }, y: { distr: 3 } },
    axes: [
      { ...axis, values: [...TIME_TICKS] },
      {
        ...{
          ...axis,
          size: 72,
          filter: (_: uPlot, ticks: number[]) => ticks,
          grid: { stroke: line, width: 1 },
        },
        splits: (_, _axis, least, most) => DURATION_TICKS.filter((ms) => ms >= least && ms <= most),
        values: (_, ticks) => ticks.map((ms) => duration(ms)),
      },
    ],
    series: [
      {},
      ...SERIES.map(({ label, colour, mark }) => ({
        label,
        paths: () => null,
        points: {
          show: true,
          size: POINT_PX,
          width: mark === "dot" ? 1 : 1.5,
          stroke: colourOf(colour, box),
          ...(mark === "dot" ? { fill: colourOf(colour, box) } : { fill: colourOf("--surface", box) }),
          ...(mark === "cross" && { paths: crosses }),
        },
      })),
    ],
    hooks: {
      setSelect: [
        (chart) => {
          if (chart.select.width < 4) return;
          const at = (px: number) => new Date(Math.round(chart.posToVal(px, "x") * 1000)).toISOString();
          onZoom({ from: at(chart.select.left), to: at(chart.select.left + chart.select.width) });
        },
      ],
    },
  };
}

/** How long the listed runs took, by when they were created. Marking a stretch narrows the list to it. */
export default function DurationChart({
  runs,
  onZoom,
}: {
  runs: readonly RunSummary[];
  onZoom: (span: { from: string; to: string }) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const zoom = useRef(onZoom);
  zoom.current = onZoom;
  const drawn = useRef<{ chart: uPlot; runs: readonly RunSummary[] } | null>(null);
  const latest = useRef(runs);
  latest.current = runs;
  const theme = useTheme();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another theme has other colours.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const chart = new uPlot(
      optionsOf(element, (span) => zoom.current(span)),
      dataOf(latest.current),
      element,
    );
    drawn.current = { chart, runs: latest.current };
    const resized = new ResizeObserver(() =>
      chart.setSize({ width: element.clientWidth, height: HEIGHT_PX }),
    );
    resized.observe(element);
    return () => {
      resized.disconnect();
      chart.destroy();
    };
  }, [theme]);
  // News of runs move the points; a stretch that is being marked stays.
  useEffect(() => {
    if (drawn.current === null || drawn.current.runs === runs) return;
    drawn.current.chart.setData(dataOf(runs));
    drawn.current.runs = runs;
  }, [runs]);
  return (
    <figure className="mb-3 rounded-lg border border-line bg-surface p-2">
      <div ref={box} />
      <figcaption className="flex flex-wrap gap-x-4 px-2 text-11 text-faint">
        Durations of the listed runs. Mark a stretch to narrow the list to it.
        <span className="ml-auto flex gap-4">
          {SERIES.map(({ label, sign, text }) => (
            <span key={label} className={text}>
              {sign} {label}
            </span>
          ))}
        </span>
      </figcaption>
    </figure>
  );
}
