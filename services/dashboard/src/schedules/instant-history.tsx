import { useQueries } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Schedule, type ScheduleInstant, shortId } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { Panel } from "../kernel/panel.tsx";
import { QueryResult } from "../kernel/query-result.tsx";
import { mergeQueries, nextDue, nextDueText } from "./next-due.ts";
import { zoneOf } from "./timing-words.ts";

const SHOWN = 20;

/** Why no run was created. */
const SKIPPED: Record<NonNullable<ScheduleInstant["skipped"]>, string> = {
  "catch-up": "missed",
  window: "outside its window",
  overlap: "the previous run is still active",
  paused: "paused",
  "invalid-parameters": "invalid parameters",
  "deployment-not-found": "deployment not found",
};

interface Decided {
  readonly item: ScheduleInstant;
  readonly one: Schedule;
}

function DecidedRow({ item, one }: Decided) {
  return (
    <li className="flex items-baseline gap-3 border-line px-3 py-1.5 not-last:border-b">
      <span className="w-34 shrink-0 text-12 text-faint">
        <Instant at={item.at} absolute zone={zoneOf(one)} />
      </span>
      <span className="min-w-0 truncate">
        {one.deployment} <span className="text-soft">{one.name}</span>
      </span>
      <span className="ml-auto shrink-[2] truncate text-12">
        {item.runId ? (
          <Link to="/runs/$runId" params={{ runId: item.runId }} className="text-accent hover:underline">
            run {shortId(item.runId)}
          </Link>
        ) : (
          <span className="text-warn" title={item.skipped ? SKIPPED[item.skipped] : undefined}>
            skipped{item.skipped && `: ${SKIPPED[item.skipped]}`}
          </span>
        )}
      </span>
    </li>
  );
}

/** The latest scheduled times, with their runs. */
export function InstantHistory({ schedules }: { schedules: readonly Schedule[] }) {
  const asked = nextDue(schedules);
  const answers = useQueries({
    queries: asked.map((one) => ({
      queryKey: ["instants", one.deployment, one.name],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        client
          .listInstants(
            { params: { name: one.deployment, schedule: one.name }, query: { limit: SHOWN } },
            { signal },
          )
          .then(({ items }) => items.map((item): Decided => ({ item, one }))),
    })),
  });
  return (
    <Panel title="History" note={nextDueText(asked.length, schedules.length)} flush>
      <QueryResult query={mergeQueries(answers)} rows={3}>
        {(decided) =>
          decided.length === 0 ? (
            <p className="p-3 text-faint">No scheduled time has passed yet.</p>
          ) : (
            <ul>
              {decided
                .toSorted((a, b) => b.item.at.localeCompare(a.item.at))
                .slice(0, SHOWN)
                .map((row) => (
                  <DecidedRow key={`${row.one.id} ${row.item.at}`} {...row} />
                ))}
            </ul>
          )
        }
      </QueryResult>
    </Panel>
  );
}
