import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Deployment } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { duration } from "../kernel/format.ts";
import { Instant } from "../kernel/instant.tsx";
import { useRowKeys } from "../kernel/keyboard.ts";
import { PageHead } from "../kernel/panel.tsx";
import { Empty, PartError, QueryResult, ROW_HEIGHTS } from "../kernel/query-result.tsx";
import { USUAL } from "../runs/usual-time.tsx";
import { codeText } from "./code.ts";
import { Expiry } from "./expiry.tsx";
import { failingOf, type Latest } from "./latest-runs.ts";
import { RecentStates } from "./recent-states.tsx";
import { StagedName } from "./staged-name.tsx";
import { useDeployments, useLatestRuns } from "./use-deployments.ts";

const LISTED = 200;
const STATES_SHOWN = 8;
const GRID =
  "grid items-center gap-x-4 px-3 grid-cols-[minmax(0,1fr)_auto] md:grid-cols-[minmax(0,1fr)_176px_84px_76px] lg:grid-cols-[minmax(0,1fr)_176px_84px_76px_76px_156px_116px]";

/** The time of the next scheduled run, by the name of the deployment. */
function useNextInstants(): ReadonlyMap<string, string> {
  const { data } = useQuery({
    queryKey: ["schedules"],
    queryFn: ({ signal }) => client.listSchedules({ query: { limit: LISTED } }, { signal }),
  });
  const next = new Map<string, string>();
  for (const { deployment, nextAt } of data?.items ?? []) {
    const known = next.get(deployment);
    if (nextAt !== null && (known === undefined || nextAt < known)) next.set(deployment, nextAt);
  }
  return next;
}

const NEVER_RAN: Latest = { runs: [], usualMs: null };

function DeploymentRow({
  one,
  latest,
  nextAt,
}: {
  one: Deployment;
  latest: Latest | undefined;
  nextAt: string | undefined;
}) {
  const { runs, usualMs } = latest ?? NEVER_RAN;
  return (
    <li
      className={`relative ${GRID} ${ROW_HEIGHTS.high} border-line py-1.5 not-last:border-b focus-within:bg-hover hover:bg-hover`}
    >
      <Link
        to="/deployments/$name"
        params={{ name: one.name }}
        data-row
        className="flex min-w-0 flex-wrap items-baseline gap-x-2 font-medium after:absolute after:inset-0 sm:flex-nowrap"
      >
        <span className="min-w-0 [overflow-wrap:anywhere] sm:truncate">
          <StagedName name={one.name} />
        </span>{" "}
        <span className="shrink-0 text-12 font-normal text-faint">v{one.latest.version}</span>{" "}
        {failingOf(runs).length > 0 && (
          <span className="shrink-0 rounded bg-bad-soft px-1 text-11 text-bad">failing</span>
        )}
        <Expiry expiresAt={one.latest.expiresAt} since={one.latest.registeredAt} />
      </Link>
      <RecentStates runs={runs.slice(0, STATES_SHOWN)} />
      <span className="hidden text-12 text-soft tabular-nums md:block">
        {usualMs === null ? "–" : duration(usualMs)}
      </span>
      <span className="hidden text-12 text-soft md:block">
        {nextAt === undefined ? "–" : <Instant at={nextAt} />}
      </span>
      <span className="hidden truncate text-12 text-soft lg:block">{one.pool}</span>
      <span className="hidden min-w-0 truncate text-12 text-soft lg:block">
        <Instant at={one.latest.registeredAt} /> by {one.latest.registeredBy}
      </span>
      <code className="hidden truncate font-mono text-12 text-faint lg:block" title={one.latest.code.digest}>
        {codeText(one.latest.code)}
      </code>
    </li>
  );
}

function Head() {
  return (
    <div aria-hidden="true" className={`${GRID} h-8 border-b border-line text-12 text-faint`}>
      <span>Deployment</span>
      <span>Latest runs</span>
      <span className="hidden md:block" title={USUAL}>
        Usually
      </span>
      <span className="hidden md:block">Next</span>
      <span className="hidden lg:block">Pool</span>
      <span className="hidden lg:block">Deployed</span>
      <span className="hidden lg:block">Code</span>
    </div>
  );
}

/** The deployments of the workspace, with the states of their latest runs and the time of the next one. */
export function DeploymentsPage() {
  useRowKeys();
  const query = useDeployments();
  const latest = useLatestRuns(query.data?.items);
  const next = useNextInstants();
  return (
    <>
      <PageHead title="Deployments" />
      <QueryResult query={query} look="table" height="high" rows={12}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No deployments yet">
              Deploy a flow project: <code className="text-ink">towpath deploy</code>
            </Empty>
          ) : (
            <div className="rounded-lg border border-line bg-surface">
              {latest.data === undefined && latest.error !== null && (
                <div className="border-b border-line px-3 py-2">
                  <PartError query={latest} />
                </div>
              )}
              <Head />
              <ul>
                {items.map((one) => (
                  <DeploymentRow
                    key={one.id}
                    one={one}
                    latest={latest.data?.get(one.name)}
                    nextAt={next.get(one.name)}
                  />
                ))}
              </ul>
            </div>
          )
        }
      </QueryResult>
    </>
  );
}
