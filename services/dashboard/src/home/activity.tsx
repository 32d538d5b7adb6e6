import { Link } from "@tanstack/react-router";
import { OVERVIEW_STRETCHES, type Overview, type RunState } from "@towpath/contract";
import { bothZones, clockTime, counted, duration, localTime, zoneName } from "../kernel/format.ts";
import { Panel } from "../kernel/panel.tsx";
import { StateShape } from "../runs/state-badge.tsx";

/** States that are drawn alike. The first state gives the shape. */
interface Layer {
  readonly states: readonly [RunState, ...RunState[]];
  readonly name: string;
  readonly look: string;
}

/** From bottom to top. Failures are on top, in a strong colour. Completed runs have a quiet colour. */
const LAYERS: readonly Layer[] = [
  { states: ["completed"], name: "completed", look: "bg-done" },
  { states: ["cancelled"], name: "cancelled", look: "bg-edge" },
  { states: ["failed", "crashed"], name: "failed or crashed", look: "hatched-bad" },
];
/** A bar counts the runs that have ended. */
const ENDED = LAYERS.flatMap(({ states }) => states).join(",");
/** Times below the chart. */
const TICKS = 4;

interface Stretch {
  readonly from: string;
  readonly to: string;
  readonly counts: ReadonlyMap<RunState, number>;
  readonly total: number;
}

function stretchesOf(overview: Overview): Stretch[] {
  const endMs = Date.parse(overview.at);
  const byIndex = Map.groupBy(overview.activity, (row) =>
    Math.round((endMs - Date.parse(row.from)) / overview.stretchMs),
  );
  return Array.from({ length: OVERVIEW_STRETCHES }, (_, index) => {
    const back = OVERVIEW_STRETCHES - index;
    const rows = byIndex.get(back) ?? [];
    const counts = new Map(rows.map((row) => [row.state, row.runs]));
    const from = new Date(endMs - back * overview.stretchMs).toISOString();
    const to = new Date(endMs - (back - 1) * overview.stretchMs).toISOString();
    return { from, to, counts, total: rows.reduce((sum, row) => sum + row.runs, 0) };
  });
}

function countOf({ counts }: Stretch, states: readonly RunState[]): number {
  return states.reduce((sum, state) => sum + (counts.get(state) ?? 0), 0);
}

function titleOf(stretch: Stretch): string {
  const words = [...stretch.counts].map(([state, count]) => `${count.toLocaleString("en-US")} ${state}`);
  const utc = `${stretch.from.slice(11, 16)} – ${stretch.to.slice(11, 16)} UTC`;
  return `${localTime(stretch.from)} – ${clockTime(stretch.to)}\n${utc}\n${words.join(", ") || "no runs ended"}`;
}

function Bar({ stretch, most }: { stretch: Stretch; most: number }) {
  return (
    <Link
      to="/runs"
      search={{ from: stretch.from, to: stretch.to, state: ENDED }}
      title={titleOf(stretch)}
      aria-label={titleOf(stretch)}
      className="flex h-full min-w-0 flex-1 flex-col-reverse gap-px rounded-xs hover:bg-hover"
    >
      {LAYERS.map(({ states, name, look }) => {
        const count = countOf(stretch, states);
        if (count === 0) return null;
        return (
          <span
            key={name}
            className={`min-h-[3px] rounded-xs ${look}`}
            style={{ height: `${(count / most) * 92}%` }}
          />
        );
      })}
    </Link>
  );
}

/** The legend: how each layer is drawn, and its number of runs. */
function Legend({ stretches }: { stretches: readonly Stretch[] }) {
  return (
    <ul
      aria-label="Runs of the last 24 hours by outcome"
      className="mt-2 flex flex-wrap gap-x-4 gap-y-1 text-12 text-soft tabular-nums"
    >
      {LAYERS.map(({ states, name, look }) => {
        const count = stretches.reduce((sum, one) => sum + countOf(one, states), 0);
        return (
          <li key={name} className="flex items-center gap-1.5">
            <span aria-hidden="true" className={`size-2.5 rounded-xs ${look}`} />
            <StateShape state={states[0]} size={10} />
            <span aria-hidden="true">
              {name} {count.toLocaleString("en-US")}
            </span>
            <span className="sr-only">
              {counted(count, "run")} {name}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

/** The runs of the last day, by creation time and outcome. Each bar is a link to its runs. */
export function Activity({ overview }: { overview: Overview }) {
  const stretches = stretchesOf(overview);
  const most = Math.max(1, ...stretches.map((one) => one.total));
  const ticks = Array.from({ length: TICKS }, (_, tick) => stretches[(tick * OVERVIEW_STRETCHES) / TICKS]);
  return (
    <Panel
      title="Activity"
      note="runs of the last 24 h, by creation time"
      actions={
        <span className="text-12 text-faint tabular-nums">
          at most {most} per {duration(overview.stretchMs)}
        </span>
      }
    >
      <div className="flex h-20 items-end gap-px border-b border-line sm:gap-0.5">
        {stretches.map((stretch) => (
          <Bar key={stretch.from} stretch={stretch} most={most} />
        ))}
      </div>
      <div className="mt-1 flex justify-between text-11 text-faint tabular-nums">
        {ticks.map(
          (one, tick) =>
            one && (
              <time key={one.from} dateTime={one.from} title={bothZones(one.from)}>
                {clockTime(one.from)}
                {tick === 0 && ` ${zoneName(Date.parse(one.from))}`}
              </time>
            ),
        )}
        <span>now</span>
      </div>
      <Legend stretches={stretches} />
    </Panel>
  );
}
