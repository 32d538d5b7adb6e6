import { type RunSummary, shortId } from "@towpath/contract";
import { useEffect, useState } from "react";
import { client } from "../kernel/client.ts";
import { useNow } from "../kernel/clock.ts";
import { elapsed, localTime } from "../kernel/format.ts";
import { Unreadable } from "../kernel/unreadable.tsx";
import { StateBadge } from "./state-badge.tsx";

/** How often the list reads itself anew, milliseconds. A single run's page is live; the list is a way to get there. */
const REFRESH_MS = 3_000;

function useRuns(): { runs: readonly RunSummary[] | null; failure: unknown } {
  const [runs, setRuns] = useState<readonly RunSummary[] | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  useEffect(() => {
    const stop = new AbortController();
    const read = () =>
      client.listRuns({ query: { limit: 50 } }, { signal: stop.signal }).then(
        (page) => {
          setRuns(page.items);
          setFailure(null);
        },
        (error: unknown) => {
          if (!stop.signal.aborted) setFailure(error);
        },
      );
    void read();
    const timer = setInterval(read, REFRESH_MS);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, []);
  return { runs, failure };
}

/** The latest runs of the workspace. */
export function RunList() {
  const { runs, failure } = useRuns();
  const now = useNow(true);
  if (failure && !runs) return <Unreadable failure={failure} />;
  if (!runs) return <p className="quiet">Reading the runs…</p>;
  if (runs.length === 0) {
    return (
      <p className="quiet">
        No run yet. Start one: <code>towpath run NAME --watch</code>
      </p>
    );
  }
  return (
    <table className="runs">
      <thead>
        <tr>
          <th>State</th>
          <th>Deployment</th>
          <th>Created</th>
          <th>Duration</th>
          <th>Run</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <tr key={run.id}>
            <td>
              <StateBadge state={run.state} />
            </td>
            <td>
              <a href={`/runs/${run.id}`}>{run.deployment}</a> <span className="quiet">v{run.version}</span>
              {run.name && <span className="run-name"> {run.name}</span>}
            </td>
            <td>{localTime(run.createdAt)}</td>
            <td className="number">{elapsed({ ...run, now })}</td>
            <td>
              <code title={run.id}>{shortId(run.id)}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
