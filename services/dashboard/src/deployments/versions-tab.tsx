import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { DeploymentVersion } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { Panel } from "../kernel/panel.tsx";
import { QueryResult } from "../kernel/query-result.tsx";
import { codeText } from "./code.ts";
import { Expiry } from "./expiry.tsx";
import type { DeploymentSearch } from "./search.ts";
import { VersionPanel } from "./version-panel.tsx";

const LISTED = 100;

function VersionRow({
  name,
  version,
  isShown,
}: {
  name: string;
  version: DeploymentVersion;
  isShown: boolean;
}) {
  return (
    <li
      className={`relative border-line px-3 py-2 not-last:border-b ${isShown ? "bg-accent-soft" : "focus-within:bg-hover hover:bg-hover"}`}
    >
      <div className="flex items-center gap-3">
        <Link
          to="/deployments/$name"
          params={{ name }}
          search={{ tab: "versions", version: version.version }}
          resetScroll={false}
          data-row
          aria-current={isShown ? "true" : undefined}
          className="font-medium tabular-nums after:absolute after:inset-0"
        >
          v{version.version}
        </Link>
        <span className="min-w-0 truncate text-12 text-soft">by {version.registeredBy}</span>
        <Expiry expiresAt={version.expiresAt} since={version.registeredAt} />
        <span className="ml-auto shrink-0 text-12 text-soft">
          <Instant at={version.registeredAt} />
        </span>
      </div>
      <code className="block truncate text-12 text-soft" title={version.code.digest}>
        {codeText(version.code)}
      </code>
    </li>
  );
}

/** The versions of a deployment, newest first, and the details of one of them. */
export function VersionsTab({
  name,
  latest,
  search,
}: {
  name: string;
  latest: number;
  search: DeploymentSearch;
}) {
  const query = useQuery({
    queryKey: ["versions", name],
    queryFn: ({ signal }) => client.listVersions({ params: { name }, query: { limit: LISTED } }, { signal }),
  });
  const shown = search.version ?? latest;
  return (
    <QueryResult query={query} rows={6}>
      {({ items, next }) => (
        <div className="grid gap-4 lg:grid-cols-[minmax(0,2fr)_minmax(0,5fr)]">
          <div className="min-w-0">
            <Panel title="Versions" flush>
              <ol className="max-h-[70vh] overflow-y-auto">
                {items.map((version) => (
                  <VersionRow
                    key={version.id}
                    name={name}
                    version={version}
                    isShown={version.version === shown}
                  />
                ))}
              </ol>
              {next !== null && <p className="px-3 py-2 text-12 text-soft">The latest {LISTED}.</p>}
            </Panel>
          </div>
          <VersionPanel
            key={shown}
            name={name}
            version={shown}
            latest={latest}
            since={search.since}
            versions={items}
          />
        </div>
      )}
    </QueryResult>
  );
}
