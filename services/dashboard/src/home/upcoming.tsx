import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { Panel } from "../kernel/panel.tsx";
import { QueryResult } from "../kernel/query-result.tsx";
import { zoneOf } from "../schedules/timing-words.ts";

const SHOWN = 5;

/** The schedules that are due next. */
export function Upcoming() {
  const query = useQuery({
    queryKey: ["schedules"],
    queryFn: ({ signal }) => client.listSchedules({ query: { limit: 200 } }, { signal }),
  });
  return (
    <Panel title="Upcoming" flush>
      <QueryResult query={query} rows={2}>
        {({ items }) => {
          const next = items
            .flatMap((one) => (one.nextAt === null ? [] : [{ one, at: one.nextAt }]))
            .toSorted((a, b) => a.at.localeCompare(b.at))
            .slice(0, SHOWN);
          if (next.length === 0) return <p className="p-3 text-faint">Nothing is scheduled.</p>;
          return (
            <ul>
              {next.map(({ one, at }) => (
                <li
                  key={one.id}
                  className="flex items-baseline gap-3 border-line px-3 py-2 not-last:border-b"
                >
                  <Link
                    to="/deployments/$name"
                    params={{ name: one.deployment }}
                    className="min-w-0 truncate font-medium hover:text-accent"
                  >
                    {one.deployment}
                  </Link>
                  <span className="min-w-0 truncate text-soft">{one.name}</span>
                  <span className="ml-auto shrink-0 text-12 text-soft">
                    <Instant at={at} zone={zoneOf(one)} />
                  </span>
                </li>
              ))}
            </ul>
          );
        }}
      </QueryResult>
    </Panel>
  );
}
