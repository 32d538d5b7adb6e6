import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Overview, Pool, RunSummary } from "@towpath/contract";
import { isFinalRunState } from "@towpath/contract";
import { useState } from "react";
import { client } from "../kernel/client.ts";
import { counted } from "../kernel/format.ts";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { TIME_PASSES_MS } from "../kernel/query.ts";
import { Failure, Shown, Skeleton } from "../kernel/standing.tsx";
import { RunRows } from "../runs/run-rows.tsx";
import { Sentence } from "../runs/sentence.tsx";
import { StateShape } from "../runs/state-badge.tsx";
import { useWhy } from "../runs/why-panel.tsx";
import { Activity } from "./activity.tsx";
import { FirstSteps } from "./first-steps.tsx";
import { Upcoming } from "./upcoming.tsx";
import { WaitingForYou } from "./waiting-for-you.tsx";

const SHOWN = 6;
const POOLS_MAX = 50;

/** The states of a run that has not begun. */
const WAITING = "blocked,ready,suspended";
const GOING = "claimed,running,cancelling";
const FAILED = "failed,crashed";

function useLatest(state: string) {
  return useQuery({
    queryKey: ["runs", "latest", state],
    queryFn: ({ signal }) => client.listRuns({ query: { state, limit: SHOWN } }, { signal }),
  });
}

/** How many runs stand in these states. */
function countOf(overview: Overview, states: string): number {
  const wanted = states.split(",");
  const rows = wanted.some((state) => isFinalRunState(state as RunSummary["state"]))
    ? overview.activity
    : overview.live;
  return rows.reduce((sum, row) => sum + (wanted.includes(row.state) ? row.runs : 0), 0);
}

function Figure({ overview, name, states }: { overview: Overview; name: string; states: string }) {
  const count = countOf(overview, states);
  const [first] = states.split(",") as [RunSummary["state"]];
  const since = isFinalRunState(first) ? { since: "24h" } : {};
  return (
    <Link
      to="/runs"
      search={{ state: states, ...since }}
      className="flex min-w-0 flex-1 flex-col border-line px-4 py-3 not-first:border-l hover:bg-hover"
    >
      <span className="flex items-center gap-1.5 text-12 whitespace-nowrap text-soft">
        <StateShape state={first} size={10} /> {name}
      </span>
      <span className="text-28 font-semibold tracking-tight tabular-nums">
        {count.toLocaleString("en-US")}
      </span>
    </Link>
  );
}

function WaitingRow({ run }: { run: RunSummary }) {
  const why = useWhy(run.id, run.state);
  return (
    <span className="relative z-10 text-12 text-soft">
      <Sentence text={why.data?.reasons[0]?.text ?? ""} />
    </span>
  );
}

function RunPanel({ title, states, empty }: { title: string; states: string; empty: string }) {
  const query = useLatest(states);
  return (
    <Panel
      title={title}
      flush
      actions={
        <Link to="/runs" search={{ state: states }} className="text-12 text-accent hover:underline">
          All
        </Link>
      }
    >
      <Shown query={query} rows={3}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="p-3 text-faint">{empty}</p>
          ) : (
            <RunRows
              runs={items}
              {...(states === WAITING ? { note: (run) => <WaitingRow run={run} /> } : {})}
            />
          )
        }
      </Shown>
    </Panel>
  );
}

function PoolHealth({ pools }: { pools: readonly Pool[] }) {
  return (
    <Panel title="Workers" flush>
      <ul>
        {pools.map((pool) => (
          <li
            key={pool.id}
            className="flex flex-wrap items-center gap-x-3 border-line px-3 py-2 not-last:border-b"
          >
            <Link to="/pools" className="font-medium hover:text-accent">
              {pool.name}
            </Link>
            <span className={pool.workersOnline === 0 ? "text-bad" : "text-good"}>
              {pool.workersOnline === 0
                ? "✗ no worker online"
                : `✓ ${counted(pool.workersOnline, "worker")} online`}
            </span>
            {pool.workersPaused > 0 && <span className="text-warn">{pool.workersPaused} paused</span>}
            <span className="ml-auto text-12 text-soft tabular-nums">
              {pool.running} running, {pool.ready} waiting
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Standing({ overview, pools }: { overview: Overview; pools: readonly Pool[] }) {
  return (
    <div className="flex flex-col gap-4">
      <div className="grid grid-cols-2 overflow-hidden rounded-lg border border-line bg-surface sm:flex">
        <Figure overview={overview} name="Failed, 24 h" states={FAILED} />
        <Figure overview={overview} name="Running" states={GOING} />
        <Figure overview={overview} name="Waiting" states={WAITING} />
        <Figure overview={overview} name="Completed, 24 h" states="completed" />
      </div>
      <WaitingForYou />
      <Activity overview={overview} />
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <div className="flex min-w-0 flex-col gap-4">
          <RunPanel title="Failed last" states={FAILED} empty="Nothing has failed." />
          <RunPanel title="Waiting, and why" states={WAITING} empty="Nothing waits." />
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          <RunPanel title="Running" states={GOING} empty="Nothing runs just now." />
          <PoolHealth pools={pools} />
          <Upcoming />
        </div>
      </div>
    </div>
  );
}

/** How the workspace stands at a glance; before its first run, how to get there. */
export function HomePage() {
  // Whoever came before the first run sees it through here.
  const [begins, setBegins] = useState(false);
  const overview = useQuery({
    queryKey: ["overview"],
    queryFn: ({ signal }) => client.getOverview({}, { signal }),
  });
  const pools = useQuery({
    queryKey: ["pools"],
    queryFn: ({ signal }) => client.listPools({ query: { limit: 200 } }, { signal }),
    refetchInterval: TIME_PASSES_MS,
  });
  const any = useQuery({
    queryKey: ["runs", "any"],
    queryFn: ({ signal }) => client.listRuns({ query: { limit: 1 } }, { signal }),
  });
  const failure = overview.error ?? pools.error ?? any.error;
  if (!overview.data || !pools.data || !any.data)
    return (
      <>
        <PageHead title="Home" />
        {failure ? <Failure failure={failure} /> : <Skeleton rows={8} />}
      </>
    );
  const online = pools.data.items.some((pool) => pool.workersOnline > 0);
  const [run] = any.data.items;
  if (run === undefined && !begins) setBegins(true);
  const isFresh = begins || run === undefined;
  return (
    <>
      <PageHead title={isFresh ? "Welcome to Towpath" : "Home"} />
      {isFresh ? (
        <FirstSteps {...{ online, run }} onDone={() => setBegins(false)} />
      ) : (
        <Standing overview={overview.data} pools={pools.data.items.slice(0, POOLS_MAX)} />
      )}
    </>
  );
}
