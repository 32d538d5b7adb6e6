import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { useRowKeys } from "../kernel/keyboard.ts";
import { PageHead } from "../kernel/panel.tsx";
import { Empty, Shown } from "../kernel/standing.tsx";
import { codeText } from "./code.ts";

/** The deployments of the workspace. */
export function DeploymentsPage() {
  useRowKeys();
  const query = useQuery({
    queryKey: ["deployments"],
    queryFn: ({ signal }) => client.listDeployments({ query: { limit: 200 } }, { signal }),
  });
  return (
    <>
      <PageHead title="Deployments" />
      <Shown query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No deployment yet">
              Register one from a flow project: <code className="text-ink">towpath deploy</code>
            </Empty>
          ) : (
            <ul className="rounded-lg border border-line bg-surface">
              {items.map((one) => (
                <li
                  key={one.id}
                  className="relative grid grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 border-line px-3 py-2 not-last:border-b focus-within:bg-hover hover:bg-hover md:grid-cols-[minmax(0,2fr)_minmax(0,1fr)_minmax(0,1fr)_140px]"
                >
                  <Link
                    to="/deployments/$name"
                    params={{ name: one.name }}
                    data-row
                    className="min-w-0 truncate font-medium after:absolute after:inset-0"
                  >
                    {one.name} <span className="text-12 font-normal text-faint">v{one.latest.version}</span>
                  </Link>
                  <span className="hidden truncate text-soft md:block">{one.pool}</span>
                  <code className="hidden truncate font-mono text-12 text-faint md:block">
                    {codeText(one.latest.code)}
                  </code>
                  <span className="text-right text-12 text-soft">
                    <Instant at={one.latest.registeredAt} />
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Shown>
    </>
  );
}
