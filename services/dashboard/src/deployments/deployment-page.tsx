import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import type { DeploymentVersion } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { Facts, PageHead, Panel } from "../kernel/panel.tsx";
import { Shown } from "../kernel/standing.tsx";
import { RunRows } from "../runs/run-rows.tsx";
import { ScheduleRows } from "../schedules/schedule-rows.tsx";
import { codeText, entryText } from "./code.ts";
import { RunForm } from "./run-form.tsx";

const RUNS_SHOWN = 12;

function Versions({ name }: { name: string }) {
  const query = useQuery({
    queryKey: ["versions", name],
    queryFn: ({ signal }) => client.listVersions({ params: { name }, query: { limit: 50 } }, { signal }),
  });
  return (
    <Panel title="Versions" flush>
      <Shown query={query} rows={3}>
        {({ items }) => (
          <ol>
            {items.map((version) => (
              <VersionRow key={version.id} version={version} />
            ))}
          </ol>
        )}
      </Shown>
    </Panel>
  );
}

function VersionRow({ version }: { version: DeploymentVersion }) {
  return (
    <li className="flex flex-wrap items-center gap-x-3 border-line px-3 py-2 not-last:border-b">
      <span className="w-10 font-medium tabular-nums">v{version.version}</span>
      <code className="min-w-0 truncate font-mono text-12 text-soft" title={version.code.digest}>
        {codeText(version.code)}
      </code>
      <span className="text-12 text-faint" title={`Signed with key ${version.keyId}`}>
        by {version.registeredBy}
      </span>
      <span className="ml-auto text-12 text-soft">
        <Instant at={version.registeredAt} />
      </span>
    </li>
  );
}

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
      <Shown query={query} rows={4}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="p-3 text-faint">It has not run yet.</p>
          ) : (
            <RunRows runs={items} named={false} />
          )
        }
      </Shown>
    </Panel>
  );
}

function Schedules({ name }: { name: string }) {
  const query = useQuery({
    queryKey: ["schedules", name],
    queryFn: ({ signal }) => client.listSchedules({ query: { deployment: name } }, { signal }),
  });
  return (
    <Panel title="Schedules" flush>
      <Shown query={query} rows={2}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="p-3 text-faint">
              None. <code>towpath schedule set</code> makes one, or its code does.
            </p>
          ) : (
            <ScheduleRows schedules={items} />
          )
        }
      </Shown>
    </Panel>
  );
}

/** One deployment: its runs, its schedules, its versions, and a form that starts a run. */
export function DeploymentPage() {
  const { name } = useParams({ from: "/deployments/$name" });
  const query = useQuery({
    queryKey: ["deployment", name],
    queryFn: ({ signal }) => client.getDeployment({ params: { name } }, { signal }),
  });
  return (
    <Shown query={query}>
      {(deployment) => (
        <>
          <PageHead title={deployment.name} note={`v${deployment.latest.version}`} />
          <div className="mb-4">
            <Facts
              facts={[
                ["Pool", deployment.pool],
                [
                  "Runs",
                  <code key="entry" className="font-mono text-12">
                    {entryText(deployment.latest.entry)}
                  </code>,
                ],
                ["Registered by", deployment.latest.registeredBy],
                ["Registered", <Instant key="at" at={deployment.latest.registeredAt} absolute />],
                [
                  "Signed with",
                  <code key="kid" className="font-mono text-12">
                    {deployment.latest.keyId.slice(0, 12)}
                  </code>,
                ],
              ]}
            />
          </div>
          <div className="grid gap-4 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
            <div className="flex min-w-0 flex-col gap-4">
              <RecentRuns name={name} />
              <Schedules name={name} />
              <Versions name={name} />
            </div>
            <div className="min-w-0">
              <RunForm key={deployment.latest.id} deployment={deployment} />
            </div>
          </div>
        </>
      )}
    </Shown>
  );
}
