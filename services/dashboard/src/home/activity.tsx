import { Link } from "@tanstack/react-router";
import { OVERVIEW_STRETCHES, type Overview, type RunState } from "@towpath/contract";
import { bothZones, clockTime, duration, localTime, zoneName } from "../kernel/format.ts";
import { Panel } from "../kernel/panel.tsx";

/** From the bottom up: failures stand on top, in a strong colour. What went well is quiet. */
const LAYERS: readonly { states: readonly RunState[]; name: string; colour: string }[] = [
  { states: ["completed"], name: "completed", colour: "bg-done" },
  { states: ["cancelled"], name: "cancelled", colour: "bg-edge" },
  { states: ["failed", "crashed"], name: "failed", colour: "bg-bad" },
];
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
  const words = [...stretch.counts].map(([state, count]) => `${count} ${state}`);
  const utc = `${stretch.from.slice(11, 16)} – ${stretch.to.slice(11, 16)} UTC`;
  return `${localTime(stretch.from)} – ${clockTime(stretch.to)}\n${utc}\n${words.join(", ") || "no run ended"}`;
}

function Bar({ stretch, most }: { stretch: Stretch; most: number }) {
  return (
    <Link
      to="/runs"
      search={{ from: stretch.from, to: stretch.to }}
      title={titleOf(stretch)}
      aria-label={titleOf(stretch)}
      className="flex h-full min-w-0 flex-1 flex-col-reverse gap-px rounded-xs hover:bg-hover"
    >
      {LAYERS.map(({ states, name, colour }) => {
        const count = countOf(stretch, states);
        if (count === 0) return null;
        return (
          <span
            key={name}
            className={`min-h-[3px] rounded-xs ${colour}`}
            style={{ height: `${(count / most) * 92}%` }}
          />
        );
      })}
    </Link>
  );
}

/** What became of the runs of the last day, by when they were created. Each bar leads to its runs. */
export function Activity({ overview }: { overview: Overview }) {
  const stretches = stretchesOf(overview);
  const most = Math.max(1, ...stretches.map((one) => one.total));
  const ticks = Array.from({ length: TICKS }, (_, tick) => stretches[(tick * OVERVIEW_STRETCHES) / TICKS]);
  return (
    <Panel
      title="Activity"
      note="runs by when they were created, last 24 h"
      actions={
        <span className="text-12 text-faint tabular-nums">
          up to {most} in {duration(overview.stretchMs)}
        </span>
      }
    >
      <div className="flex h-20 items-end gap-px border-b border-line sm:gap-0.5">
        {stretches.map((stretch) => (
          <Bar key={stretch.from} {...{ stretch, most }} />
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
    </Panel>
  );
}
