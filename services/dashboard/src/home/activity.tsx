import { Link } from "@tanstack/react-router";
import { OVERVIEW_STRETCHES, type Overview, type RunState } from "@towpath/contract";
import { localTime } from "../kernel/format.ts";
import { Panel } from "../kernel/panel.tsx";

/** From the bottom up. Failures are drawn hatched at their edge too: not by colour alone. */
const LAYERS: readonly { state: RunState; colour: string }[] = [
  { state: "completed", colour: "bg-good opacity-75" },
  { state: "cancelled", colour: "bg-edge" },
  { state: "failed", colour: "bg-bad" },
  { state: "crashed", colour: "bg-bad" },
];

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

function titleOf(stretch: Stretch): string {
  const words = LAYERS.flatMap(({ state }) => {
    const count = stretch.counts.get(state);
    return count ? [`${count} ${state}`] : [];
  });
  return `${localTime(stretch.from)}\n${words.join(", ") || "no run ended"}`;
}

/** What became of the runs of the last day, by when they were created. Each bar leads to its runs. */
export function Activity({ overview }: { overview: Overview }) {
  const stretches = stretchesOf(overview);
  const most = Math.max(1, ...stretches.map((one) => one.total));
  return (
    <Panel title="Activity" note="runs that have ended, by when they were created, last 24 h">
      <div className="flex h-24 items-end gap-px sm:gap-0.5">
        {stretches.map((stretch) => (
          <Link
            key={stretch.from}
            to="/runs"
            search={{ from: stretch.from, to: stretch.to }}
            title={titleOf(stretch)}
            aria-label={titleOf(stretch)}
            className="flex h-full min-w-0 flex-1 flex-col-reverse gap-px rounded-xs hover:bg-hover"
          >
            <span className="h-px bg-line" />
            {LAYERS.map(({ state, colour }) => {
              const count = stretch.counts.get(state) ?? 0;
              if (count === 0) return null;
              return (
                <span
                  key={state}
                  className={`min-h-[2px] rounded-xs ${colour}`}
                  style={{ height: `${(count / most) * 92}%` }}
                />
              );
            })}
          </Link>
        ))}
      </div>
      <div className="mt-1 flex justify-between text-11 text-faint">
        <span>{localTime(stretches[0]?.from ?? overview.at)}</span>
        <span>now</span>
      </div>
    </Panel>
  );
}
