import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { mayAnswer, type Overview, type Pool } from "@towpath/contract";
import { type ReactNode, useMemo, useState } from "react";
import { useDeployments, useLatestRuns } from "../deployments/use-deployments.ts";
import { useMe } from "../identity/me.ts";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { useRowKeys } from "../kernel/keyboard.ts";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { TIME_PASSES_MS } from "../kernel/query.ts";
import { Failure, Skeleton } from "../kernel/query-result.tsx";
import { QuestionRows } from "../runs/waits/question-rows.tsx";
import { useWaits, waitsIn } from "../runs/waits/use-waits.ts";
import { Activity } from "./activity.tsx";
import { FailingPanel, failingDeployments } from "./failing.tsx";
import { Figures } from "./figures.tsx";
import { FirstSteps } from "./first-steps.tsx";
import { LatePanel } from "./late.tsx";
import { PoolHealth } from "./pool-health.tsx";
import { RunningPanel } from "./running.tsx";
import { Upcoming } from "./upcoming.tsx";

const COLUMN = "max-lg:contents lg:flex lg:min-w-0 lg:flex-col lg:gap-4";

/** Gives a panel its position on a phone. */
function Placed({ order, children }: { order: string; children: ReactNode }) {
  return <div className={`min-w-0 empty:hidden ${order}`}>{children}</div>;
}

function Standing({ overview, pools }: { overview: Overview; pools: readonly Pool[] }) {
  useRowKeys();
  const deployments = useDeployments();
  const latest = useLatestRuns(deployments.data?.items);
  const failing = useMemo(() => latest.data && failingDeployments(latest.data), [latest.data]);
  // The names of the deployments are needed to read their latest runs.
  const { error, refetch } = deployments.data ? latest : deployments;
  const count = failing?.length ?? 0;
  return (
    <>
      <PageHead
        title="Home"
        tab={count === 0 ? "Home" : `${count} failing`}
        mark={count === 0 ? undefined : "failed"}
      />
      <div className="flex flex-col gap-4">
        <Figures overview={overview} />
        <Restored overview={overview} />
        {/* Two columns on a wide screen. One column on a phone, in the order of an on-call person's questions. */}
        <div className="grid items-start gap-4 lg:grid-cols-2">
          <div className={COLUMN}>
            <FailingPanel query={{ data: failing, error, refetch }} />
            <Placed order="max-lg:order-3">
              <LatePanel />
            </Placed>
            <Placed order="max-lg:order-6">
              <PoolHealth pools={pools} />
            </Placed>
          </div>
          <div className={COLUMN}>
            <Placed order="max-lg:order-4">
              <Activity overview={overview} />
            </Placed>
            <Placed order="max-lg:order-5">
              <RunningPanel latest={latest.data} />
            </Placed>
            <Placed order="max-lg:order-2">
              <WaitingForYou />
            </Placed>
            <Placed order="max-lg:order-7">
              <Upcoming />
            </Placed>
          </div>
        </div>
      </div>
    </>
  );
}

/** The state of the workspace. Before its first run: the first steps. */
export function HomePage() {
  // A reader who came before the first run stays in the first steps until it has ended.
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
  const reads = [overview, pools, any];
  const failure = reads.find(({ error }) => error)?.error;
  const retry = { refetch: () => reads.map(({ refetch }) => refetch()) };
  if (!overview.data || !pools.data || !any.data)
    return (
      <>
        <PageHead title="Home" />
        {failure ? <Failure failure={failure} retry={retry} /> : <Skeleton look="glance" rows={9} />}
      </>
    );
  const [run] = any.data.items;
  if (run === undefined && !begins) setBegins(true);
  if (!begins && run !== undefined) return <Standing overview={overview.data} pools={pools.data.items} />;
  return (
    <>
      <PageHead title="Welcome to Towpath" />
      <FirstSteps
        online={pools.data.items.some((pool) => pool.workersOnline > 0)}
        run={run}
        onDone={() => setBegins(false)}
      />
    </>
  );
}

/** The search for runs that were lost since a restore. */
const LOST = { state: "crashed", cause: "lost" };

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Reports that the control plane's database was restored lately, and which outcomes are unknown. */
function Restored({ overview: { restored } }: { overview: Overview }) {
  if (restored === null) return null;
  const { at, offered, unknownAttempts, unknownOutcomes } = restored;
  return (
    <Panel title="The control plane's database was restored">
      <p>
        A backup was restored <Instant at={at} />. Workers then reported {counted(offered, "attempt")} again,
        and {counted(unknownAttempts, "attempt")} that the database does not have.{" "}
        {unknownOutcomes === 0 ? (
          "All outcomes are known."
        ) : (
          <Link to="/runs" search={LOST} className="text-accent hover:underline">
            {counted(unknownOutcomes, "attempt")} with an unknown outcome
          </Link>
        )}
      </p>
    </Panel>
  );
}

/** Questions that are shown. A link opens the others. */
const SHOWN = 4;

/** The questions that the reader can answer, oldest first. Nothing if there are none. */
function WaitingForYou() {
  const me = useMe();
  const { data } = useWaits("questions");
  if (me === undefined || data === undefined) return null;
  const mine = waitsIn(data).filter(({ who }) => mayAnswer(me.key.role, who ?? "operator"));
  if (mine.length === 0) return null;
  const more = mine.length - SHOWN;
  return (
    <Panel
      title="Waiting for you"
      flush
      actions={
        <Link to="/waits" className="text-12 text-accent hover:underline">
          {more > 0 ? `${more} more` : "All"}
        </Link>
      }
    >
      <QuestionRows waits={mine.slice(0, SHOWN)} folded />
    </Panel>
  );
}
