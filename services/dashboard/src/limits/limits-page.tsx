import type { Limit } from "@towpath/contract";
import { counted, duration } from "../kernel/format.ts";
import { useRowKeys } from "../kernel/keyboard.ts";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { Empty, QueryResult } from "../kernel/query-result.tsx";
import { EditLimitButton, NewLimitButton } from "./limit-buttons.tsx";
import { LimitRows, SlotsTaken, useLimits } from "./limit-rows.tsx";

/** What a limit applies to. */
const KINDS: Record<Limit["kind"], string> = {
  named: "named",
  deployment: "runs of the deployment",
  pool: "runs in the pool",
  queue: "runs in the queue",
  tag: "runs and tasks with the tag",
};

function LimitPanel({ limit }: { limit: Limit }) {
  const rate = limit.perMs === null ? "" : ` per ${duration(limit.perMs)}`;
  const slots = counted(limit.slots, "slot");
  return (
    <div id={limit.kind === "tag" ? `tag ${limit.name}` : limit.name} className="scroll-mt-16">
      <Panel
        title={limit.name}
        note={`${KINDS[limit.kind]}: ${slots}${rate}, set ${limit.source === "code" ? "in code" : "by a person"}`}
        flush
        actions={
          <>
            <SlotsTaken limit={limit} />
            <EditLimitButton limit={limit} />
          </>
        }
      >
        <LimitRows limit={limit} />
      </Panel>
    </div>
  );
}

/** The limits, with the runs that hold slots and the runs that wait. */
export function LimitsPage() {
  useRowKeys();
  const query = useLimits();
  return (
    <>
      <PageHead title="Limits">
        <NewLimitButton look="accent" />
      </PageHead>
      <QueryResult query={query} look="panels" rows={9}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No limit is set">
              Create one here, or with <code className="text-ink">towpath limit set warehouse 3</code>.
            </Empty>
          ) : (
            <div className="flex flex-col gap-4">
              {items.map((limit) => (
                <LimitPanel key={limit.id} limit={limit} />
              ))}
            </div>
          )
        }
      </QueryResult>
    </>
  );
}
