import { useQuery } from "@tanstack/react-query";
import type { RunState, RunSummary } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { RunRows } from "../runs/list/run-rows.tsx";
import { Reason } from "../runs/waits/why-panel.tsx";
import { FewRuns } from "./few-runs.tsx";

const SHOWN = 5;

/** The states of a run that waits, the more urgent first. */
const ORDER: readonly RunState[] = ["blocked", "ready", "suspended"];
/** The same states, separated by commas. */
export const WAITING = ORDER.join(",");

function urgency(run: RunSummary): number {
  return run.labels.includes("late") ? -1 : ORDER.indexOf(run.state);
}

/** The runs that have waited longest, per state: blocked runs must not hide late ones. */
async function longestWaiting(signal: AbortSignal): Promise<RunSummary[]> {
  const pages = await Promise.all(
    ORDER.map((state) => client.listRuns({ query: { state, order: "oldest", limit: SHOWN } }, { signal })),
  );
  return pages.flatMap((page) => page.items);
}

/** The runs that wait, each with the reason. Late ones first. */
export function LatePanel() {
  const query = useQuery({
    queryKey: ["runs", "oldest", WAITING],
    queryFn: ({ signal }) => longestWaiting(signal),
  });
  return (
    <FewRuns
      title="Waiting runs"
      note="late and blocked first"
      query={query}
      state={WAITING}
      all="All waiting runs"
      none={
        <span className="text-soft">
          <span className="text-good">✓</span> No run is waiting.
        </span>
      }
    >
      {(runs) => (
        <RunRows
          runs={runs.toSorted((a, b) => urgency(a) - urgency(b)).slice(0, SHOWN)}
          note={(run) => <Reason run={run} />}
        />
      )}
    </FewRuns>
  );
}
