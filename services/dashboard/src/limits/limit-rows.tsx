import { useQuery } from "@tanstack/react-query";
import { type Limit, type SlotHolder, type SlotWaiter, taskLabel } from "@towpath/contract";
import { Bar } from "../kernel/bar.tsx";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { RunLink } from "../runs/links.tsx";
import { UsualTime } from "../runs/usual-time.tsx";

const ROW = "flex flex-wrap items-center gap-x-3 border-line px-3 py-1.5 not-last:border-b";

/** A task run without the hashes in its path. The tooltip shows the path. */
function TaskName({ path }: { path: string }) {
  return (
    <span className="min-w-0 truncate text-12 text-soft" title={path}>
      {taskLabel(path)}
    </span>
  );
}

function HolderRow({ holder }: { holder: SlotHolder }) {
  return (
    <li className={ROW}>
      <span className="w-20 text-12 font-medium text-accent">● holds {holder.slots}</span>
      <RunLink {...holder} />
      {holder.task && <TaskName path={holder.task} />}
      <span className="ml-auto flex items-center gap-3">
        {holder.worker && <span className="text-12 text-faint">on {holder.worker}</span>}
        <UsualTime ms={holder.forMs} usualMs={holder.usualMs} />
      </span>
    </li>
  );
}

function WaiterRow({ waiter, position }: { waiter: SlotWaiter; position: number }) {
  return (
    <li className={ROW}>
      <span className="w-20 text-12 font-medium text-warn">○ position {position}</span>
      <RunLink {...waiter} />
      {waiter.task && <TaskName path={waiter.task} />}
      <span className="ml-auto text-12 text-soft tabular-nums">
        needs {waiter.slots}, due <Instant at={waiter.dueAt} />
      </span>
    </li>
  );
}

/** The number of taken slots of a limit. */
export function SlotsTaken({ limit }: { limit: Limit }) {
  return (
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
  );
}

/** The runs that hold slots of a limit, and the first runs of its wait list. */
export function LimitRows({ limit }: { limit: Limit }) {
  const more = limit.waiting - limit.line.length;
  if (limit.holders.length + limit.line.length === 0)
    return <p className="px-3 py-2 text-faint">No slot is taken, and no run waits.</p>;
  return (
    <ul>
      {limit.holders.map((holder) => (
        <HolderRow key={`${holder.runId} ${holder.task}`} holder={holder} />
      ))}
      {limit.line.map((waiter, index) => (
        <WaiterRow key={`${waiter.runId} ${waiter.task}`} waiter={waiter} position={index + 1} />
      ))}
      {more > 0 && <li className={`${ROW} text-12 text-faint`}>and {more} more in the wait list</li>}
    </ul>
  );
}

/** The limits of the workspace, with the runs that hold slots. */
export function useLimits() {
  return useQuery({
    queryKey: ["limits"],
    queryFn: ({ signal }) => client.listLimits({ query: { limit: 100 } }, { signal }),
  });
}
