import { useQuery } from "@tanstack/react-query";
import type { Schedule } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { Panel } from "../kernel/panel.tsx";
import { TIME_PASSES_MS } from "../kernel/query.ts";
import { QueryResult } from "../kernel/query-result.tsx";
import { zoneOf } from "../schedules/timing-words.ts";

const EACH = 6;
const LISTED = 6;
/** Schedules whose next times are read, at most. */
const SCHEDULES_MAX = 8;

async function instantsOf(schedule: Schedule, signal: AbortSignal) {
  const params = { name: schedule.deployment, schedule: schedule.name };
  const { items } = await client.listUpcoming({ params, query: { limit: EACH } }, { signal });
  return items.map(({ at }) => ({ schedule, at }));
}

/** The next runs of these schedules. */
export function UpcomingPanel({ schedules }: { schedules: readonly Schedule[] }) {
  const going = schedules.filter((one) => !one.paused && one.fault === null).slice(0, SCHEDULES_MAX);
  const query = useQuery({
    queryKey: ["upcoming", going.map((one) => [one.id, one.updatedAt])],
    queryFn: async ({ signal }) => {
      const all = await Promise.all(going.map((one) => instantsOf(one, signal)));
      return all
        .flat()
        .sort((a, b) => a.at.localeCompare(b.at))
        .slice(0, LISTED);
    },
    refetchInterval: TIME_PASSES_MS,
  });
  if (going.length === 0) return null;
  return (
    <Panel title="Upcoming" flush>
      <QueryResult query={query} rows={3}>
        {(instants) => (
          <ul>
            {instants.map(({ schedule, at }) => (
              <li
                key={`${schedule.id} ${at}`}
                className="flex items-baseline gap-3 border-line px-3 py-1.5 not-last:border-b"
              >
                <span className="min-w-0 truncate font-medium">{schedule.name}</span>
                <span className="ml-auto text-12 text-faint">
                  <Instant at={at} zone={zoneOf(schedule)} absolute />
                </span>
                <span className="w-20 shrink-0 text-right text-12 text-soft">
                  <Instant at={at} zone={zoneOf(schedule)} />
                </span>
              </li>
            ))}
          </ul>
        )}
      </QueryResult>
    </Panel>
  );
}
