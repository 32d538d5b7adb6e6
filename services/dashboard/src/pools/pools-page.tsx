import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Pool, stockParts, type Worker } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { CopyLine } from "../kernel/copy-line.tsx";
import { Instant } from "../kernel/instant.tsx";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { TIME_PASSES_MS } from "../kernel/query.ts";
import { Empty, Shown } from "../kernel/standing.tsx";

function standingOf(worker: Worker): { text: string; look: string } {
  if (!worker.online) return { text: "✗ offline", look: "text-faint" };
  if (worker.paused) return { text: "‖ paused", look: "text-warn" };
  if (worker.draining) return { text: "↓ draining", look: "text-warn" };
  return { text: "✓ online", look: "text-good" };
}

/** What a worker has for runs that need some, and how much of it is taken. */
function Stock({ worker }: { worker: Worker }) {
  const parts = stockParts(worker.amounts, worker.taken);
  if (parts.length === 0) return null;
  return (
    <ul className="flex basis-full flex-wrap gap-x-4 gap-y-1 text-12 text-faint tabular-nums md:pl-23">
      {parts.map((part) => (
        <li key={part.name} className="flex items-center gap-1.5">
          <meter aria-label={part.text} className="h-2 w-10" value={part.taken} max={part.total || 1} />
          <span className={part.taken > 0 ? "text-soft" : ""}>{part.text}</span>
        </li>
      ))}
    </ul>
  );
}

function WorkerRow({ worker }: { worker: Worker }) {
  const { text, look } = standingOf(worker);
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-1 border-line px-3 py-2 not-last:border-b">
      <span className={`w-20 font-medium ${look}`}>{text}</span>
      <span className="font-medium">{worker.name}</span>
      <span className="hidden text-12 text-faint sm:inline">{worker.version}</span>
      {worker.paused && <span className="text-12 text-warn">{worker.paused.reason}</span>}
      <span className="ml-auto flex items-center gap-2 text-12 text-soft tabular-nums">
        <meter
          aria-label="Attempts it holds"
          className="h-2 w-10 sm:w-20"
          value={worker.held}
          max={Math.max(1, worker.capacity)}
        />
        {worker.held} of {worker.capacity}
      </span>
      <span className="text-right text-12 whitespace-nowrap text-faint sm:w-24">
        <Instant at={worker.lastSeenAt} />
      </span>
      {worker.online && <Stock worker={worker} />}
    </li>
  );
}

function Queues({ name }: { name: string }) {
  const query = useQuery({
    queryKey: ["queues", name],
    queryFn: ({ signal }) => client.listQueues({ params: { name } }, { signal }),
  });
  const queues = query.data?.items ?? [];
  if (queues.length === 0) return null;
  return (
    <div className="flex flex-wrap gap-1.5 border-t border-line px-3 py-2">
      <span className="text-12 leading-6 text-faint">Queues</span>
      {queues.map((queue) => (
        <span key={queue.name} className="chip">
          {queue.name} <span className="text-faint">priority {queue.priority}</span>
        </span>
      ))}
    </div>
  );
}

function PoolPanel({ pool }: { pool: Pool }) {
  const query = useQuery({
    queryKey: ["workers", pool.name],
    queryFn: ({ signal }) =>
      client.listWorkers({ params: { name: pool.name }, query: { limit: 50 } }, { signal }),
    refetchInterval: TIME_PASSES_MS,
  });
  return (
    <Panel
      title={pool.name}
      note={`${pool.type}, ${pool.running} running, ${pool.ready} waiting`}
      flush
      actions={
        <Link to="/runs" search={{ pool: pool.name }} className="text-12 text-accent hover:underline">
          Its runs
        </Link>
      }
    >
      <Shown query={query} rows={2}>
        {({ items }) =>
          items.length === 0 ? (
            <div className="space-y-2 p-3">
              <p className="text-soft">
                No worker has ever served this pool. Start one where its work should run:
              </p>
              <CopyLine text={`towpath worker start --pool ${pool.name}`} />
            </div>
          ) : (
            <ul>
              {items.map((worker) => (
                <WorkerRow key={worker.id} worker={worker} />
              ))}
            </ul>
          )
        }
      </Shown>
      <Queues name={pool.name} />
    </Panel>
  );
}

/** Where work runs: pools, their queues, and the workers that serve them. */
export function PoolsPage() {
  const query = useQuery({
    queryKey: ["pools"],
    queryFn: ({ signal }) => client.listPools({ query: { limit: 200 } }, { signal }),
  });
  return (
    <>
      <PageHead title="Pools and workers" />
      <Shown query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No pool yet">
              Make one: <code className="text-ink">towpath pool create local</code>
            </Empty>
          ) : (
            <div className="flex flex-col gap-4">
              {items.map((pool) => (
                <PoolPanel key={pool.id} pool={pool} />
              ))}
            </div>
          )
        }
      </Shown>
    </>
  );
}
