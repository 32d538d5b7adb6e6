import { useQueries, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Schedule } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { useRowKeys } from "../kernel/keyboard.ts";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { Empty, QueryResult } from "../kernel/query-result.tsx";
import { BackfillPanel } from "./backfills.tsx";
import { CalendarPanel } from "./calendar-panel.tsx";
import { InstantHistory } from "./instant-history.tsx";
import { mergeQueries, nextDue, nextDueText } from "./next-due.ts";
import { NewScheduleButton, ScheduleRows } from "./schedule-rows.tsx";
import { type ScheduleSearch, scheduleOf } from "./search.ts";
import { zoneOf } from "./timing-words.ts";

const UPCOMING_SHOWN = 20;

function UpcomingRow({ at, one }: { at: string; one: Schedule }) {
  return (
    <li className="flex items-baseline gap-3 border-line px-3 py-1.5 not-last:border-b">
      <span className="w-34 shrink-0 text-12 text-faint">
        <Instant at={at} absolute zone={zoneOf(one)} />
      </span>
      <span className="min-w-0 truncate">
        {one.deployment} <span className="text-soft">{one.name}</span>
      </span>
      <span className="ml-auto text-12 text-soft">
        <Instant at={at} zone={zoneOf(one)} />
      </span>
    </li>
  );
}

/** The next runs of the schedules that are due first. */
function Upcoming({ schedules }: { schedules: readonly Schedule[] }) {
  const due = schedules.filter((one) => one.nextAt !== null);
  const asked = nextDue(due);
  const answers = useQueries({
    queries: asked.map((one) => ({
      queryKey: ["upcoming", one.deployment, one.name],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        client
          .listUpcoming(
            { params: { name: one.deployment, schedule: one.name }, query: { limit: 10 } },
            { signal },
          )
          .then(({ items }) => items.map((item) => ({ at: item.at, one }))),
    })),
  });
  return (
    <Panel title="Upcoming" note={nextDueText(asked.length, due.length)} flush>
      <QueryResult query={mergeQueries(answers)} rows={3}>
        {(instants) =>
          instants.length === 0 ? (
            <p className="p-3 text-faint">No run is due.</p>
          ) : (
            <ul>
              {instants
                .toSorted((a, b) => a.at.localeCompare(b.at))
                .slice(0, UPCOMING_SHOWN)
                .map(({ at, one }) => (
                  <UpcomingRow key={`${one.id} ${at}`} at={at} one={one} />
                ))}
            </ul>
          )
        }
      </QueryResult>
    </Panel>
  );
}

/** The schedules with their past and next runs, and the backfills. */
export function SchedulesPage() {
  useRowKeys();
  const search = useSearch({ from: "/schedules" });
  const navigate = useNavigate({ from: "/schedules" });
  const change = (to: ScheduleSearch) => void navigate({ search: { ...search, ...to }, replace: true });
  const query = useQuery({
    queryKey: ["schedules"],
    queryFn: ({ signal }) => client.listSchedules({ query: { limit: 200 } }, { signal }),
  });
  return (
    <>
      <PageHead title="Schedules">
        <NewScheduleButton look="accent" />
      </PageHead>
      <QueryResult query={query} look="panels" rows={9}>
        {({ items }) => {
          const chosen = scheduleOf(items, search.schedule);
          return chosen === undefined ? (
            <Empty title="Nothing is scheduled">
              Create one here, with <code className="text-ink">towpath schedule set</code>, or with the{" "}
              <code className="text-ink">schedules</code> of a deployment in the code.
            </Empty>
          ) : (
            <div className="flex flex-col gap-4">
              <CalendarPanel
                schedules={items}
                schedule={chosen}
                view={search.view ?? "hours"}
                onChange={change}
              />
              <Panel title="All schedules" flush>
                <ScheduleRows schedules={items} named />
              </Panel>
              <BackfillPanel />
              <div className="grid gap-4 lg:grid-cols-2">
                <Upcoming schedules={items} />
                <InstantHistory schedules={items} />
              </div>
            </div>
          );
        }}
      </QueryResult>
    </>
  );
}
