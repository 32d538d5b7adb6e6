import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { duration } from "../../kernel/format.ts";
import { columnsOf, type DurationPoint, nearestTo, SERIES, type Spot } from "./duration-points.ts";

const HEIGHT_PX = 168;
const POINT_PX = 5;
/** The pointer selects a point within this distance, pixels. */
const REACH_PX = 20;
/** A shorter drag is a click, pixels. */
const MARKED_PX_MIN = 4;

/** Durations with a mark on the axis, milliseconds. */
const DURATION_TICKS = [100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 6 * 3_600_000, 86_400_000];

/**
 * The time labels, from the widest step to the narrowest: the step in seconds, the label, and its form where a year or
 * a day starts.
 */
const TIME_TICKS: NonNullable<Extract<uPlot.Axis["values"], unknown[][]>> = [
  [365 * 86_400, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * 86_400, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86_400, "{D} {MMM}", null, null, null, null, null, null, 1],
  [3_600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
];

/** The shapes of points. */
const MARKS = {
  cross: (path: Path2D, { left, top }: Spot, half: number) => {
    path.moveTo(left - half, top - half);
    path.lineTo(left + half, top + half);
    path.moveTo(left - half, top + half);
    path.lineTo(left + half, top - half);
  },
  triangle: (path: Path2D, { left, top }: Spot, half: number) => {
    path.moveTo(left, top - half);
    path.lineTo(left + half, top + half);
    path.lineTo(left - half, top + half);
    path.closePath();
  },
};

/** Draws the points of a series with a shape. */
function marked(draw: (path: Path2D, spot: Spot, half: number) => void): uPlot.Series.Points.PathBuilder {
  return (chart, series, from, to) => {
    const path = new Path2D();
    const half = (POINT_PX * devicePixelRatio) / 2;
    for (let index = from; index <= to; index++) {
      const [x, y] = [chart.data[0][index], chart.data[series]?.[index]];
      if (x == null || y == null) continue;
      draw(path, { left: chart.valToPos(x, "x", true), top: chart.valToPos(y, "y", true) }, half);
    }
    return { stroke: path, fill: path };
  };
}

/** The value of a theme colour, as the canvas needs it. */
function colourOf(name: string, beside: HTMLElement): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  beside.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** A range with a margin at both ends, seconds. */
function padded(from: number, to: number): [number, number] {
  const room = Math.max(1, (to - from) * 0.03);
  return [from - room, to + room];
}

function seriesOf(box: HTMLElement): uPlot.Series[] {
  const surface = colourOf("--surface", box);
  return SERIES.map(({ label, colour, mark }) => {
    const stroke = colourOf(colour, box);
    const isOpen = mark === "ring" || mark === "cross";
    const paths = mark === "cross" || mark === "triangle" ? { paths: marked(MARKS[mark]) } : {};
    const points = { show: true, size: POINT_PX, width: isOpen ? 1.5 : 1, stroke };
    return {
      label,
      paths: () => null,
      points: { ...points, fill: isOpen ? surface : stroke, ...paths },
    };
  });
}

function axesOf(box: HTMLElement): uPlot.Axis[] {
  const [stroke, line] = [colourOf("--faint", box), colourOf("--line", box)];
  const grid = { stroke: line, width: 1 };
  const axis = { stroke, grid, ticks: grid, font: "11px Inter" };
  const took: uPlot.Axis = {
    ...axis,
    size: 72,
    filter: (_: uPlot, ticks: number[]) => ticks,
    splits: (_, _axis, least, most) => DURATION_TICKS.filter((ms) => ms >= least && ms <= most),
    values: (_, ticks) => ticks.map((ms) => duration(ms)),
  };
  return [{ ...axis, values: [...TIME_TICKS] }, took];
}

/** A selected range of time. */
export interface Stretch {
  readonly from: string;
  readonly to: string;
}

/** The events of the chart. */
export interface DurationPlotEvents {
  /** Another point is selected with the pointer, or none. */
  readonly onPoint: (index: number | null) => void;
  readonly onOpen: (index: number) => void;
  readonly onZoom: (stretch: Stretch) => void;
}

/** A chart of durations by creation time. Points can be selected and clicked, and a range can be dragged. */
export class DurationPlot {
  readonly #chart: uPlot;
  #points: readonly DurationPoint[];
  /** The position of each point. Null: must be computed again. */
  #spots: readonly Spot[] | null = null;
  #meant: number | null = null;
  /** Whether the last click ended a drag. */
  #isMarked = false;

  constructor(box: HTMLElement, points: readonly DurationPoint[], events: DurationPlotEvents) {
    this.#points = points;
    this.#chart = new uPlot(
      {
        width: box.clientWidth,
        height: HEIGHT_PX,
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false }, x: false, y: false },
        scales: { x: { range: (_, from, to) => padded(from, to) }, y: { distr: 3 } },
        axes: axesOf(box),
        series: [{}, ...seriesOf(box)],
        hooks: {
          setSelect: [({ select }) => this.#mark(select, events)],
          setCursor: [({ cursor }) => this.#mean(cursor, events)],
          setSize: [() => this.#forget()],
          setData: [() => this.#forget()],
        },
      },
      columnsOf(points),
      box,
    );
    this.#chart.over.addEventListener("mousedown", () => {
      this.#isMarked = false;
    });
    this.#chart.over.addEventListener("click", () => {
      if (this.#meant !== null && !this.#isMarked) events.onOpen(this.#meant);
    });
  }

  /** Draws new points. */
  setPoints(points: readonly DurationPoint[]): void {
    this.#points = points;
    this.#chart.setData(columnsOf(points));
  }

  setWidth(width: number): void {
    this.#chart.setSize({ width, height: HEIGHT_PX });
  }

  /** The position of a point in the chart's box. Null if there is none. */
  spotOf(index: number): Spot | null {
    const spot = this.#places()[index];
    if (spot === undefined) return null;
    const { offsetLeft, offsetTop } = this.#chart.over;
    return { left: spot.left + offsetLeft, top: spot.top + offsetTop };
  }

  destroy(): void {
    this.#chart.destroy();
  }

  #forget(): void {
    this.#spots = null;
  }

  #places(): readonly Spot[] {
    this.#spots ??= this.#points.map(({ createdMs, tookMs }) => ({
      left: this.#chart.valToPos(createdMs / 1000, "x"),
      top: this.#chart.valToPos(tookMs, "y"),
    }));
    return this.#spots;
  }

  #mean({ left = -1, top = -1 }: uPlot.Cursor, events: DurationPlotEvents): void {
    const meant = left < 0 ? null : nearestTo({ left, top }, this.#places(), REACH_PX);
    if (meant === this.#meant) return;
    this.#meant = meant;
    this.#chart.over.style.cursor = meant === null ? "" : "pointer";
    events.onPoint(meant);
  }

  #mark({ left, width }: uPlot.Select, events: DurationPlotEvents): void {
    if (width < MARKED_PX_MIN) return;
    this.#isMarked = true;
    const at = (px: number) => new Date(Math.round(this.#chart.posToVal(px, "x") * 1000)).toISOString();
    events.onZoom({ from: at(left), to: at(left + width) });
  }
}
