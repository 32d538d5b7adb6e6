import { useQuery } from "@tanstack/react-query";
import { Link, useParams, useSearch } from "@tanstack/react-router";
import { type Deployment, deploymentPartsOf, entryText, pythonText, type Schedule } from "@towpath/contract";
import { lazy, Suspense, useState } from "react";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { useRowKeys } from "../kernel/keyboard.ts";
import { Facts, PageHead, Panel } from "../kernel/panel.tsx";
import { QueryResult } from "../kernel/query-result.tsx";
import { useRecent } from "../kernel/recent.ts";
import { RunRows } from "../runs/list/run-rows.tsx";
import { NewScheduleButton, ScheduleRows } from "../schedules/schedule-rows.tsx";
import { codeText } from "./code.ts";
import { RunForm } from "./run-form.tsx";
import { TABS, type Tab } from "./search.ts";
import { UpcomingPanel } from "./upcoming-panel.tsx";
import { VersionsTab } from "./versions-tab.tsx";

const RemoveDeployment = lazy(async () => ({
  default: (await import("./remove-deployment.tsx")).RemoveDeployment,
}));

const RUNS_SHOWN = 12;
/** The most stages that the chooser lists. */
const STAGES_MAX = 50;
const TAB_WORDS: Record<Tab, string> = { overview: "Overview", schedules: "Schedules", versions: "Versions" };

function RecentRuns({ name }: { name: string }) {
  const query = useQuery({
    queryKey: ["runs", "of", name],
    queryFn: ({ signal }) => client.listRuns({ query: { deployment: name, limit: RUNS_SHOWN } }, { signal }),
  });
  return (
    <Panel
      title="Runs"
      flush
      actions={
        <Link to="/runs" search={{ deployment: name }} className="text-12 text-accent hover:underline">
          All
        </Link>
      }
    >
      <QueryResult query={query} rows={4}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="p-3 text-faint">No runs yet.</p>
          ) : (
            <RunRows runs={items} named={false} />
          )
        }
      </QueryResult>
    </Panel>
  );
}

function Schedules({ name, schedules }: { name: string; schedules: readonly Schedule[] }) {
  return (
    <Panel title="Schedules" flush actions={<NewScheduleButton deployment={name} />}>
      {schedules.length === 0 ? (
        <p className="p-3 text-faint">
          No schedules. Create one here, with <code>towpath schedule set</code>, or in the code.
        </p>
      ) : (
        <ScheduleRows schedules={schedules} />
      )}
    </Panel>
  );
}

function Tabs({ name, tab }: { name: string; tab: Tab }) {
  return (
    <nav aria-label={`Parts of ${name}`} className="mb-4 flex gap-1 border-b border-line">
      {TABS.map((one) => (
        <Link
          key={one}
          to="/deployments/$name"
          params={{ name }}
          search={one === "overview" ? {} : { tab: one }}
          activeOptions={{ exact: true, includeSearch: true }}
          aria-current={one === tab ? "page" : undefined}
          data-on={one === tab || undefined}
          className="-mb-px border-b-2 border-transparent px-3 py-1.5 text-13 text-soft hover:text-ink data-on:border-accent data-on:font-medium data-on:text-ink"
        >
          {TAB_WORDS[one]}
        </Link>
      ))}
    </nav>
  );
}

function factsOf({ name, pool, latest }: Deployment) {
  const python = pythonText(latest.entry);
  return [
    ["Pool", pool],
    ["Entrypoint", <code key="entry">{entryText(latest.entry)}</code>],
    ...(python === null ? [] : [["Python", python] as const]),
    ["Deployed by", latest.registeredBy],
    ["Deployed", <Instant key="at" at={latest.registeredAt} absolute />],
    [
      "Code",
      <Link
        key="code"
        to="/deployments/$name"
        params={{ name }}
        search={{ tab: "versions", version: latest.version }}
        title={latest.code.digest}
        className="text-accent hover:underline"
      >
        <code>{codeText(latest.code)}</code>
      </Link>,
    ],
  ] as const;
}

function Overview({ deployment, schedules }: { deployment: Deployment; schedules: readonly Schedule[] }) {
  return (
    <div className="grid gap-4 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
      <div className="flex min-w-0 flex-col gap-4">
        <RecentRuns name={deployment.name} />
        <UpcomingPanel schedules={schedules} />
      </div>
      <div className="min-w-0">
        <RunForm key={deployment.latest.id} deployment={deployment} />
      </div>
    </div>
  );
}

/** Links to the deployments of the same name in other stages. Nothing if there are none. */
function StageChooser({ name, tab }: { name: string; tab: Tab | undefined }) {
  const { deployment } = deploymentPartsOf(name);
  const { data } = useQuery({
    queryKey: ["deployments", "stages", deployment],
    queryFn: ({ signal }) => client.listDeployments({ query: { deployment, limit: STAGES_MAX } }, { signal }),
  });
  const items = data?.items ?? [];
  if (items.length < 2) return null;
  return (
    <nav
      aria-label={`Stages of ${deployment}`}
      className="flex flex-wrap rounded-md border border-line bg-surface p-0.5"
    >
      {items.map((one) => (
        <Link
          key={one.id}
          to="/deployments/$name"
          params={{ name: one.name }}
          search={tab === undefined ? {} : { tab }}
          aria-current={one.name === name ? "page" : undefined}
          data-on={one.name === name || undefined}
          className="rounded px-2 py-0.5 text-12 text-soft hover:text-ink data-on:bg-hover data-on:font-medium data-on:text-ink"
        >
          {deploymentPartsOf(one.name).stage ?? "no stage"}
        </Link>
      ))}
    </nav>
  );
}

/** Opens the dialog that removes a deployment. */
function RemoveButton(args: { deployment: Deployment; schedules: number }) {
  const may = useMay("deploy");
  const [asks, setAsks] = useState(false);
  if (!may) return null;
  return (
    <>
      <Button look="danger" onClick={() => setAsks(true)}>
        Remove…
      </Button>
      <Suspense>{asks && <RemoveDeployment {...args} onClose={() => setAsks(false)} />}</Suspense>
    </>
  );
}

/** One deployment: its runs, its schedules, its versions, and a form that starts a run. */
export function DeploymentPage() {
  useRowKeys();
  const { name } = useParams({ from: "/deployments/$name" });
  const search = useSearch({ from: "/deployments/$name" });
  const query = useQuery({
    queryKey: ["deployment", name],
    queryFn: ({ signal }) => client.getDeployment({ params: { name } }, { signal }),
  });
  const schedules = useQuery({
    queryKey: ["schedules", name],
    queryFn: ({ signal }) => client.listSchedules({ query: { deployment: name } }, { signal }),
  });
  useRecent("deployment", name, name);
  const tab = search.tab ?? "overview";
  const listed = schedules.data?.items ?? [];
  return (
    <>
      <PageHead title={name} note={query.data && `v${query.data.latest.version}`}>
        <StageChooser name={name} tab={search.tab} />
        {query.data && <RemoveButton deployment={query.data} schedules={listed.length} />}
      </PageHead>
      <QueryResult query={query} look="panels" rows={12}>
        {(deployment) => (
          <>
            <div className="mb-4">
              <Facts facts={factsOf(deployment)} />
            </div>
            <Tabs name={name} tab={tab} />
            {tab === "overview" && <Overview deployment={deployment} schedules={listed} />}
            {tab === "schedules" && (
              <QueryResult query={schedules} rows={3}>
                {({ items }) => (
                  <div className="grid gap-4 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
                    <Schedules name={name} schedules={items} />
                    <UpcomingPanel schedules={items} />
                  </div>
                )}
              </QueryResult>
            )}
            {tab === "versions" && (
              <VersionsTab name={name} search={search} latest={deployment.latest.version} />
            )}
          </>
        )}
      </QueryResult>
    </>
  );
}
