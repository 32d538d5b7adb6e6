import { useQueries, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Schedule } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { useRowKeys } from "../kernel/keyboard.ts";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { Empty, Shown, Skeleton } from "../kernel/standing.tsx";
import { BackfillPanel } from "./backfills.tsx";
import { CalendarPanel } from "./calendar-panel.tsx";
import { InstantHistory } from "./instant-history.tsx";
import { ScheduleRows } from "./schedule-rows.tsx";
import { type ScheduleSearch, scheduleOf } from "./search.ts";
import { zoneOf } from "./timing-words.ts";

/** Schedules whose instants are asked for one by one, at most. */
const ASKED_MAX = 12;
const UPCOMING_SHOWN = 20;

function Upcoming({ schedules }: { schedules: readonly Schedule[] }) {
  const answers = useQueries({
    queries: schedules
      .filter((one) => one.nextAt !== null)
      .slice(0, ASKED_MAX)
      .map((one) => ({
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
  const next = answers
    .flatMap((answer) => answer.data ?? [])
    .toSorted((a, b) => a.at.localeCompare(b.at))
    .slice(0, UPCOMING_SHOWN);
  return (
    <Panel title="Upcoming" flush>
      {next.length === 0 &&
        (answers.some((answer) => answer.isPending) ? (
          <Skeleton rows={3} />
        ) : (
          <p className="p-3 text-faint">No instant to come.</p>
        ))}
      <ul>
        {next.map(({ at, one }) => (
          <li
            key={`${one.id} ${at}`}
            className="flex items-baseline gap-3 border-line px-3 py-1.5 not-last:border-b"
          >
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
        ))}
      </ul>
    </Panel>
  );
}

/** What runs by itself: schedules, what they did and will do, and backfills. */
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
      <PageHead title="Schedules" />
      <Shown query={query} look="panels" rows={9}>
        {({ items }) => {
          const chosen = scheduleOf(items, search.schedule);
          return chosen === undefined ? (
            <Empty title="Nothing is scheduled">
              Give a flow a <code className="text-ink">schedules</code> option, or use{" "}
              <code className="text-ink">towpath schedule set</code>.
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
                <InstantHistory schedules={items.slice(0, ASKED_MAX)} />
              </div>
            </div>
          );
        }}
      </Shown>
    </>
  );
}
