import { Link } from "@tanstack/react-router";
import { isFinalRunState, type Overview, type RunState } from "@towpath/contract";
import { StateShape } from "../runs/state-badge.tsx";
import { WAITING } from "./late.tsx";
import { GOING } from "./running.tsx";

const FAILED = "failed,crashed";

const FIGURES: readonly { name: string; states: string; shape: RunState }[] = [
  { name: "Failed, 24 h", states: FAILED, shape: "failed" },
  { name: "Running", states: GOING, shape: "running" },
  { name: "Waiting", states: WAITING, shape: "blocked" },
  { name: "Completed, 24 h", states: "completed", shape: "completed" },
];

/** The number of runs in these states. */
function countOf(overview: Overview, args: { states: string; ended: boolean }): number {
  const wanted = args.states.split(",");
  const rows = args.ended ? overview.activity : overview.live;
  return rows.reduce((sum, row) => sum + (wanted.includes(row.state) ? row.runs : 0), 0);
}

/** The numbers of failed, running, waiting and completed runs. Each is a link to the runs. */
export function Figures({ overview }: { overview: Overview }) {
  return (
    <div className="grid grid-cols-2 gap-px overflow-hidden rounded-lg border border-line bg-line sm:grid-cols-4">
      {FIGURES.map(({ name, states, shape }) => {
        const ended = isFinalRunState(shape);
        return (
          <Link
            key={name}
            to="/runs"
            search={{ state: states, ...(ended ? { since: "24h" } : {}) }}
            className="flex min-w-0 flex-col bg-surface px-4 py-3 hover:bg-hover"
          >
            <span className="flex items-center gap-1.5 text-12 whitespace-nowrap text-soft">
              <StateShape state={shape} /> {name}
            </span>
            <span className="text-28 font-semibold tracking-tight tabular-nums">
              {countOf(overview, { states, ended }).toLocaleString("en-US")}
            </span>
          </Link>
        );
      })}
    </div>
  );
}
