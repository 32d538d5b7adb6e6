import { Link } from "@tanstack/react-router";
import { printable } from "@towpath/contract";
import { failingOf, type LatestRun } from "../deployments/latest-runs.ts";
import { RecentStates } from "../deployments/recent-states.tsx";
import type { LatestByName } from "../deployments/use-deployments.ts";
import { counted } from "../kernel/format.ts";
import { Instant } from "../kernel/instant.tsx";
import { Panel } from "../kernel/panel.tsx";
import { QueryResult, type QueryState } from "../kernel/query-result.tsx";
import { useFailure } from "../runs/detail/root-cause.tsx";
import { StateShape } from "../runs/state-badge.tsx";

const SHOWN = 6;
const STATES_SHOWN = 8;

/** A failing deployment, with its latest runs, and those that have failed since the last completed one. */
export interface Failing {
  readonly deployment: string;
  readonly runs: readonly LatestRun[];
  readonly failed: readonly LatestRun[];
}

/** The deployments whose last finished run failed, the latest failure first. */
export function failingDeployments(latest: LatestByName): Failing[] {
  return [...latest]
    .map(([deployment, { runs }]) => ({ deployment, runs, failed: failingOf(runs) }))
    .filter(({ failed }) => failed.length > 0)
    .toSorted((a, b) => (b.failed[0]?.endedAt ?? "").localeCompare(a.failed[0]?.endedAt ?? ""));
}

/** The error, in one row. */
function What({ run }: { run: LatestRun }) {
  const { data: failure, error: unread } = useFailure(run.id, run.state);
  const error = failure?.task?.error ?? failure?.error;
  const isPending = failure === undefined && unread === null;
  return (
    <p
      data-pending={isPending || undefined}
      className="min-h-5 text-soft max-sm:line-clamp-6 max-sm:[overflow-wrap:anywhere] sm:truncate"
    >
      {isPending && <span className="skeleton inline-block h-3 w-1/2" />}
      {error && (
        <>
          <span className="font-medium text-bad">{error.name}</span> {printable(error.message)}
        </>
      )}
      {failure === undefined && unread !== null && "The reason could not be loaded. Open the run to see it."}
      {failure && !error && `The run ended as ${run.state}. Open it for details.`}
    </p>
  );
}

function FailingRow({ one }: { one: Failing }) {
  const [latest] = one.failed;
  const first = one.failed.at(-1);
  if (!latest || !first) return null;
  return (
    <li className="relative border-line px-3 py-2 not-last:border-b focus-within:bg-hover hover:bg-hover">
      <div className="flex items-center gap-2">
        <StateShape state={latest.state} />
        <Link
          to="/runs/$runId"
          params={{ runId: latest.id }}
          data-row
          className="min-w-0 truncate font-medium after:absolute after:inset-0"
        >
          {one.deployment}
        </Link>
        <span className="ml-auto hidden sm:block">
          <RecentStates runs={one.runs.slice(0, STATES_SHOWN)} />
        </span>
        <span className="w-16 shrink-0 text-right text-12 text-faint max-sm:ml-auto">
          <Instant at={latest.endedAt ?? latest.createdAt} />
        </span>
      </div>
      <div className="pl-5 text-12">
        <What run={latest} />
        {one.failed.length > 1 && (
          <p className="text-faint">
            {counted(one.failed.length, "run")} in a row, since <Instant at={first.createdAt} />
          </p>
        )}
      </div>
    </li>
  );
}

/** The first failing deployments. */
function FailingRows({ failing }: { failing: readonly Failing[] }) {
  if (failing.length === 0)
    return (
      <p className="p-3 text-soft">
        <span className="text-good">✓</span> No deployment is failing: the latest run of each has completed.
      </p>
    );
  return (
    <>
      <ul>
        {failing.slice(0, SHOWN).map((one) => (
          <FailingRow key={one.deployment} one={one} />
        ))}
      </ul>
      {failing.length > SHOWN && (
        <p className="border-t border-line px-3 py-2 text-12 text-soft">
          And {counted(failing.length - SHOWN, "other deployment")}:{" "}
          <Link to="/deployments" className="text-accent hover:underline">
            all deployments
          </Link>
        </p>
      )}
    </>
  );
}

/** The failing deployments. Each is a link to its latest failed run, which opens at the root cause. */
export function FailingPanel({ query }: { query: QueryState<readonly Failing[]> }) {
  return (
    <Panel
      title="Failing now"
      note="deployments whose last finished run failed"
      flush
      actions={
        <Link to="/runs" search={{ state: "failed,crashed" }} className="text-12 text-accent hover:underline">
          All failures
        </Link>
      }
    >
      <QueryResult query={query} rows={3}>
        {(failing) => <FailingRows failing={failing} />}
      </QueryResult>
    </Panel>
  );
}
