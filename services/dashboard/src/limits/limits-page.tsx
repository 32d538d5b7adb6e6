import type { Limit, SlotHolder, SlotWaiter } from "@towpath/contract";
import { Bar } from "../kernel/bar.tsx";
import { counted, duration } from "../kernel/format.ts";
import { Instant } from "../kernel/instant.tsx";
import { useRowKeys } from "../kernel/keyboard.ts";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { Empty, Shown } from "../kernel/standing.tsx";
import { RunLink } from "../runs/run-link.tsx";
import { UsualTime } from "../runs/usual-time.tsx";
import { useLimits } from "./use-limits.ts";

const ROW = "flex flex-wrap items-center gap-x-3 border-line px-3 py-1.5 not-last:border-b";

/** What a limit holds for. */
const KINDS: Record<Limit["kind"], string> = {
  named: "named",
  deployment: "runs of the deployment",
  pool: "runs in the pool",
  queue: "runs in the queue",
};

function HolderRow({ holder }: { holder: SlotHolder }) {
  return (
    <li className={ROW}>
      <span className="w-20 text-12 font-medium text-accent">● holds {holder.slots}</span>
      <RunLink {...holder} />
      {holder.task && <span className="min-w-0 truncate text-12 text-soft">{holder.task}</span>}
      <span className="ml-auto flex items-center gap-3">
        {holder.worker && <span className="text-12 text-faint">on {holder.worker}</span>}
        <UsualTime ms={holder.forMs} usualMs={holder.usualMs} />
      </span>
    </li>
  );
}

function WaiterRow({ waiter, place }: { waiter: SlotWaiter; place: number }) {
  return (
    <li className={ROW}>
      <span className="w-20 text-12 font-medium text-warn">○ waits, {place}.</span>
      <RunLink {...waiter} />
      {waiter.task && <span className="min-w-0 truncate text-12 text-soft">{waiter.task}</span>}
      <span className="ml-auto text-12 text-soft tabular-nums">
        needs {waiter.slots}, due <Instant at={waiter.dueAt} />
      </span>
    </li>
  );
}

function LimitPanel({ limit }: { limit: Limit }) {
  const rate = limit.perMs === null ? "" : ` per ${duration(limit.perMs)}`;
  const slots = counted(limit.slots, "slot");
  const more = limit.waiting - limit.line.length;
  return (
    <div id={limit.name} className="scroll-mt-16">
      <Panel
        title={limit.name}
        note={`${KINDS[limit.kind]}: ${slots}${rate}, set by ${limit.source === "code" ? "code" : "a person"}`}
        flush
        actions={
          <span className="flex items-center gap-2 text-12 text-soft tabular-nums">
            <Bar
              label="Slots taken"
              className="h-1.5 w-24"
              look={limit.taken >= limit.slots ? "warn" : "accent"}
              value={limit.taken}
              max={limit.slots}
            />
            <span className="min-w-24 text-right">
              {limit.taken} of {limit.slots} taken
            </span>
          </span>
        }
      >
        {limit.holders.length + limit.line.length === 0 && (
          <p className="px-3 py-2 text-faint">Nobody holds a slot, nobody waits.</p>
        )}
        <ul>
          {limit.holders.map((holder) => (
            <HolderRow key={`${holder.runId} ${holder.task}`} holder={holder} />
          ))}
          {limit.line.map((waiter, index) => (
            <WaiterRow key={`${waiter.runId} ${waiter.task}`} waiter={waiter} place={index + 1} />
          ))}
          {more > 0 && <li className={`${ROW} text-12 text-faint`}>and {more} behind them</li>}
        </ul>
      </Panel>
    </div>
  );
}

/** Limits, who has their slots, and who waits for them. */
export function LimitsPage() {
  useRowKeys();
  const query = useLimits();
  return (
    <>
      <PageHead title="Limits" />
      <Shown query={query} look="panels" rows={9}>
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
