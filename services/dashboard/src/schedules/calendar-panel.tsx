import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { Schedule } from "@towpath/contract";
import { useMemo } from "react";
import { client } from "../kernel/client.ts";
import { useNow } from "../kernel/clock.ts";
import { Instant } from "../kernel/instant.tsx";
import { Panel } from "../kernel/panel.tsx";
import { QueryResult } from "../kernel/query-result.tsx";
import { SlotMark } from "./calendar-cell.tsx";
import { type Counts, spanOf } from "./calendar-grid.ts";
import { CalendarTable } from "./calendar-table.tsx";
import { VIEWS, type View } from "./search.ts";
import { zoneOf } from "./timing-words.ts";

const HOUR_MS = 3_600_000;
/** A calendar changes slowly. */
const REFRESH_MS = 30_000;

const LEGEND: readonly (readonly [string, Counts])[] = [
  ["completed", { completed: 1 }],
  ["some failed", { completed: 1, failed: 1 }],
  ["not ended", { open: 1 }],
  ["skipped", { skipped: 1 }],
  ["due", { due: 1 }],
];

function Legend() {
  return (
    <ul className="flex flex-wrap gap-x-4 gap-y-1 text-12 text-soft">
      {LEGEND.map(([name, counts]) => (
        <li key={name} className="flex items-center gap-1.5">
          <span aria-hidden className="flex h-3 w-5">
            <SlotMark slot={{ fromMs: 0, toMs: 0, counts, inStretch: false }} most={1} />
          </span>
          {name}
        </li>
      ))}
    </ul>
  );
}

function useCalendar(schedule: Schedule, view: View) {
  const now = useNow(true);
  const hour = Math.floor(now / HOUR_MS);
  const zone = zoneOf(schedule) ?? "UTC";
  const span = useMemo(() => spanOf(view, { nowMs: hour * HOUR_MS, zone }), [view, hour, zone]);
  const query = useQuery({
    queryKey: ["calendar", schedule.deployment, schedule.name, span],
    queryFn: ({ signal }) =>
      client.getCalendar(
        {
          params: { name: schedule.deployment, schedule: schedule.name },
          query: { from: new Date(span.fromMs).toISOString(), to: new Date(span.toMs).toISOString() },
        },
        { signal },
      ),
    refetchInterval: REFRESH_MS,
    placeholderData: keepPreviousData,
  });
  return { query, span };
}

const idOf = (one: Schedule) => `${one.deployment}/${one.name}`;

/** The past and future runs of one schedule. */
export function CalendarPanel({
  schedules,
  schedule,
  view,
  onChange,
}: {
  schedules: readonly Schedule[];
  schedule: Schedule;
  view: View;
  onChange: (to: { schedule?: string; view?: View }) => void;
}) {
  const { query, span } = useCalendar(schedule, view);
  return (
    <Panel
      title="Calendar"
      note={`times in ${zoneOf(schedule) ?? "UTC"}`}
      actions={
        <>
          <select
            aria-label="Schedule"
            className="field w-full max-w-60 min-w-0 truncate"
            value={idOf(schedule)}
            onChange={(event) => onChange({ schedule: event.target.value })}
          >
            {schedules.map((one) => (
              <option key={one.id} value={idOf(one)}>
                {one.deployment} · {one.name}
              </option>
            ))}
          </select>
          <span className="flex shrink-0 gap-1">
            {VIEWS.map((one) => (
              <button
                key={one}
                type="button"
                className="chip"
                data-on={one === view || undefined}
                aria-pressed={one === view}
                onClick={() => onChange({ view: one })}
              >
                {one === "hours" ? "Hours" : "Days"}
              </button>
            ))}
          </span>
        </>
      }
    >
      <QueryResult query={query} rows={8}>
        {(calendar) => (
          <div className="flex flex-col gap-3">
            <CalendarTable calendar={calendar} view={view} span={span} deployment={schedule.deployment} />
            <Legend />
            {calendar.dueUntil && (
              <p className="text-12 text-faint">
                Due runs are counted until <Instant at={calendar.dueUntil} absolute zone={zoneOf(schedule)} />
                .
              </p>
            )}
          </div>
        )}
      </QueryResult>
    </Panel>
  );
}
