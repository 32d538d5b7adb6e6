import { useQueries } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Schedule, type ScheduleInstant, shortId } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { localTime } from "../kernel/format.ts";
import { Panel } from "../kernel/panel.tsx";
import { Skeleton } from "../kernel/standing.tsx";

const SHOWN = 20;

/** Why an instant has no run. */
const SKIPPED: Record<NonNullable<ScheduleInstant["skipped"]>, string> = {
  "catch-up": "missed, and not caught up",
  window: "outside its window",
  overlap: "the run before had not ended",
  paused: "paused",
  "invalid-parameters": "its parameters do not fit the deployment",
  "deployment-not-found": "its deployment is gone",
};

/** What was decided at the latest instants of these schedules. */
export function InstantHistory({ schedules }: { schedules: readonly Schedule[] }) {
  const answers = useQueries({
    queries: schedules.map((one) => ({
      queryKey: ["instants", one.deployment, one.name],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        client
          .listInstants(
            { params: { name: one.deployment, schedule: one.name }, query: { limit: SHOWN } },
            { signal },
          )
          .then(({ items }) => items.map((item) => ({ item, one }))),
    })),
  });
  const latest = answers
    .flatMap((answer) => answer.data ?? [])
    .toSorted((a, b) => b.item.at.localeCompare(a.item.at))
    .slice(0, SHOWN);
  return (
    <Panel title="Decided" flush>
      {latest.length === 0 &&
        (answers.some((answer) => answer.isPending) ? (
          <Skeleton rows={3} />
        ) : (
          <p className="p-3 text-faint">No instant has passed yet.</p>
        ))}
      <ul>
        {latest.map(({ item, one }) => (
          <li key={`${one.id} ${item.at}`} className="flex gap-3 border-line px-3 py-1.5 not-last:border-b">
            <span className="w-36 shrink-0 text-12 text-faint tabular-nums">{localTime(item.at)}</span>
            <span className="min-w-0 truncate">
              {one.deployment} <span className="text-soft">{one.name}</span>
            </span>
            <span className="ml-auto text-12 whitespace-nowrap">
              {item.runId ? (
                <Link
                  to="/runs/$runId"
                  params={{ runId: item.runId }}
                  className="text-accent hover:underline"
                >
                  run {shortId(item.runId)}
                </Link>
              ) : (
                <span className="text-warn">skipped{item.skipped && `: ${SKIPPED[item.skipped]}`}</span>
              )}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
