import { Link } from "@tanstack/react-router";
import { StateShape } from "../runs/state-badge.tsx";
import { workTimeText } from "../runs/work-time.tsx";
import type { LatestRun } from "./latest-runs.ts";

/** The states of the latest runs, the newest at the right. Each is a link to its run. */
export function RecentStates({ runs }: { runs: readonly LatestRun[] }) {
  return (
    <span className="relative flex items-center gap-0.5">
      {runs.toReversed().map((run) => (
        <Link
          key={run.id}
          to="/runs/$runId"
          params={{ runId: run.id }}
          aria-label={`${run.state} run of ${run.createdAt}`}
          title={`${run.state} ${workTimeText(run, Date.parse(run.endedAt ?? run.createdAt))}`}
          className="grid size-5 place-items-center rounded hover:bg-line"
        >
          <StateShape state={run.state} />
        </Link>
      ))}
    </span>
  );
}
