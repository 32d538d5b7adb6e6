import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type RunSummary, workTimeOf } from "@towpath/contract";
import type { LatestByName } from "../deployments/use-deployments.ts";
import { client } from "../kernel/client.ts";
import { useNow } from "../kernel/clock.ts";
import { StateShape } from "../runs/state-badge.tsx";
import { UsualTime } from "../runs/usual-time.tsx";
import { FewRuns } from "./few-runs.tsx";

const SHOWN = 6;

/** The states of a run that a worker has. */
export const GOING = "running,claimed,cancelling";

/** A run whose earlier attempts were not counted is not compared: its time includes waits, the usual time does not. */
function RunningRow({ run, usualMs, now }: { run: RunSummary; usualMs: number | null; now: number }) {
  const ms = workTimeOf(run, now)?.workMs ?? null;
  return (
    <li className="relative flex items-center gap-2 border-line px-3 py-2 not-last:border-b focus-within:bg-hover hover:bg-hover">
      <StateShape state={run.state} />
      <Link
        to="/runs/$runId"
        params={{ runId: run.id }}
        data-row
        className="min-w-0 flex-1 truncate font-medium after:absolute after:inset-0"
      >
        {run.deployment}
        {run.name && <span className="font-normal text-soft"> {run.name}</span>}
      </Link>
      {ms === null ? (
        <span className="text-12 text-soft">{run.state}</span>
      ) : (
        <UsualTime ms={ms} usualMs={run.attempts > 1 && run.workedMs === null ? null : usualMs} />
      )}
    </li>
  );
}

/** The running runs, oldest first, each with its duration and the usual duration. */
export function RunningPanel({ latest }: { latest: LatestByName | undefined }) {
  const now = useNow(true);
  const query = useQuery({
    queryKey: ["runs", "oldest", GOING],
    // A run that hangs is among the oldest runs, never among the newest.
    queryFn: ({ signal }) =>
      client.listRuns({ query: { state: GOING, order: "oldest", limit: SHOWN } }, { signal }),
  });
  return (
    <FewRuns
      title="Running"
      note="oldest first"
      state={GOING}
      all="All running runs"
      none="No run is running."
      query={{ ...query, data: query.data?.items }}
    >
      {(runs) => (
        <ul>
          {runs.map((run) => (
            <RunningRow
              key={run.id}
              run={run}
              now={now}
              usualMs={latest?.get(run.deployment)?.usualMs ?? null}
            />
          ))}
        </ul>
      )}
    </FewRuns>
  );
}
