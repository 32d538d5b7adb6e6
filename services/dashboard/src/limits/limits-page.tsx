import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Limit, shortId } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { duration } from "../kernel/format.ts";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { Empty, Shown } from "../kernel/standing.tsx";

function LimitPanel({ limit }: { limit: Limit }) {
  const rate = limit.perMs === null ? "" : ` per ${duration(limit.perMs)}`;
  return (
    <Panel
      title={limit.name}
      note={`${limit.kind}, ${limit.slots}${rate}, set by ${limit.source === "code" ? "code" : "a person"}`}
      flush
      actions={
        <span className="flex items-center gap-2 text-12 text-soft tabular-nums">
          <meter
            aria-label="Slots taken"
            className="h-2 w-24"
            value={limit.taken}
            max={Math.max(1, limit.slots)}
          />
          {limit.taken} of {limit.slots} taken
        </span>
      }
    >
      {limit.holders.length + limit.line.length === 0 && (
        <p className="p-3 text-faint">Nobody holds a slot, nobody waits.</p>
      )}
      <ul>
        {limit.holders.map((holder) => (
          <li
            key={`${holder.runId} ${holder.task}`}
            className="flex flex-wrap items-baseline gap-x-3 border-line px-3 py-1.5 not-last:border-b"
          >
            <span className="w-16 text-12 font-medium text-accent">holds {holder.slots}</span>
            <RunLink runId={holder.runId} deployment={holder.deployment} />
            <span className="ml-auto text-12 text-soft tabular-nums">
              for {duration(holder.forMs)}
              {holder.usualMs !== null && `, usually ${duration(holder.usualMs)}`}
            </span>
          </li>
        ))}
        {limit.line.map((waiter, index) => (
          <li
            key={`${waiter.runId} ${waiter.task}`}
            className="flex gap-3 border-line px-3 py-1.5 not-last:border-b"
          >
            <span className="w-16 text-12 text-warn">waits, {index + 1}</span>
            <RunLink runId={waiter.runId} deployment={waiter.deployment} />
            <span className="ml-auto text-12 text-soft">needs {waiter.slots}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function RunLink({ runId, deployment }: { runId: string; deployment: string }) {
  return (
    <Link to="/runs/$runId" params={{ runId }} className="min-w-0 truncate hover:text-accent">
      {deployment} <code className="font-mono text-12 text-faint">{shortId(runId)}</code>
    </Link>
  );
}

/** Limits, who has their slots, and who waits for them. */
export function LimitsPage() {
  const query = useQuery({
    queryKey: ["limits"],
    queryFn: ({ signal }) => client.listLimits({ query: { limit: 100 } }, { signal }),
  });
  return (
    <>
      <PageHead title="Limits" />
      <Shown query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No limit is set">
              Say how much may go at once: <code className="text-ink">towpath limit set NAME --slots 2</code>
            </Empty>
          ) : (
            <div className="flex flex-col gap-4">
              {items.map((limit) => (
                <LimitPanel key={limit.id} limit={limit} />
              ))}
            </div>
          )
        }
      </Shown>
    </>
  );
}
