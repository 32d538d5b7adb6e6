import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Limit, Pool, Queue } from "@towpath/contract";
import { useMay } from "../identity/me.ts";
import { client } from "../kernel/client.ts";
import { EditLimitButton } from "../limits/limit-buttons.tsx";
import { LimitRows, SlotsTaken } from "../limits/limit-rows.tsx";
import { QueueButton } from "./pool-buttons.tsx";

const HEAD = "px-3 pt-2 pb-1 text-12 font-medium text-soft";
const NUMBER = "py-1 pr-3 text-right whitespace-nowrap tabular-nums";

function QueueRow({
  pool,
  queue,
  limit,
  may,
}: {
  pool: Pool;
  queue: Queue;
  limit: Limit | undefined;
  may: boolean;
}) {
  return (
    <tr className="border-t border-line">
      <th scope="row" className="w-full py-1 pl-3 text-left font-medium">
        {queue.name}
      </th>
      <td className={NUMBER}>{queue.priority}</td>
      <td className={`${NUMBER} ${queue.ready > 0 ? "text-warn" : "text-faint"}`}>{queue.ready}</td>
      <td className={`${NUMBER} ${queue.running > 0 ? "text-accent" : "text-faint"}`}>{queue.running}</td>
      <td className={`${NUMBER} text-faint`}>{limit ? `${limit.taken} of ${limit.slots}` : "none"}</td>
      {may && (
        <td className="py-1 pr-3 text-right">
          <QueueButton pool={pool} queue={queue} limit={limit} />
        </td>
      )}
    </tr>
  );
}

/** The queues of a pool by priority, with their waiting and running runs. */
export function Queues({ pool, limits }: { pool: Pool; limits: readonly Limit[] }) {
  const query = useQuery({
    queryKey: ["queues", pool.name],
    queryFn: ({ signal }) => client.listQueues({ params: { name: pool.name } }, { signal }),
  });
  const may = useMay("deploy");
  const queues = query.data?.items ?? [];
  if (queues.length === 0) return null;
  const [ready, running] = [sumOf(queues, "ready"), sumOf(queues, "running")];
  return (
    <div className="border-t border-line">
      <table aria-label={`Queues of ${pool.name}`} className="w-full text-13">
        <thead className="text-11 leading-7 text-faint">
          <tr>
            <th scope="col" className="pl-3 text-left text-12 font-medium text-soft">
              Queues
            </th>
            {["Priority", "Waiting", "Running", "Limit"].map((name) => (
              <th key={name} scope="col" className="py-1 pr-3 text-right font-normal">
                {name}
              </th>
            ))}
            {may && (
              <th scope="col">
                <span className="sr-only">Change</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {queues.map((queue) => (
            <QueueRow
              key={queue.name}
              pool={pool}
              may={may}
              queue={queue}
              limit={limits.find(
                ({ kind, name }) => kind === "queue" && name === `${pool.name}/${queue.name}`,
              )}
            />
          ))}
          <tr className="border-t border-line text-soft">
            <th scope="row" className="py-1 pl-3 text-left font-normal">
              no queue
            </th>
            <td className={NUMBER}>0</td>
            <td className={NUMBER}>{Math.max(0, pool.ready - ready)}</td>
            <td className={NUMBER}>{Math.max(0, pool.running - running)}</td>
            <td />
            {may && <td />}
          </tr>
        </tbody>
      </table>
    </div>
  );
}

function sumOf(queues: readonly Queue[], of: "ready" | "running"): number {
  return queues.reduce((sum, queue) => sum + queue[of], 0);
}

/** The limits of a pool and of its queues, with the runs that hold slots and the runs that wait. */
export function PoolLimits({ pool, limits }: { pool: Pool; limits: readonly Limit[] }) {
  const own = limits.filter(
    ({ kind, name }) =>
      (kind === "pool" && name === pool.name) || (kind === "queue" && name.startsWith(`${pool.name}/`)),
  );
  return own.map((limit) => (
    <div key={limit.id} className="border-t border-line">
      <h3 className={`${HEAD} flex flex-wrap items-center gap-x-3 gap-y-1`}>
        <Link to="/limits" hash={limit.name} className="hover:text-accent">
          {limit.kind === "pool" ? "Limit of the pool" : `Limit of the queue ${limit.name}`}
        </Link>
        <span className="ml-auto flex items-center gap-3">
          <SlotsTaken limit={limit} />
          <EditLimitButton limit={limit} />
        </span>
      </h3>
      <LimitRows limit={limit} />
    </div>
  ));
}
