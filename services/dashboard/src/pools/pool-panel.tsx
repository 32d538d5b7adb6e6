import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Limit, Pool } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { useNow } from "../kernel/clock.ts";
import { CopyLine } from "../kernel/copy-line.tsx";
import { Panel } from "../kernel/panel.tsx";
import { TIME_PASSES_MS } from "../kernel/query.ts";
import { Shown } from "../kernel/standing.tsx";
import { RunRows } from "../runs/list/run-rows.tsx";
import { Reason } from "../runs/waits/reason.tsx";
import { WorkerRow } from "./worker-row.tsx";

/** The states of a run that waits for a place in its pool. */
const LINE = "ready,blocked";
const LINE_SHOWN = 3;
const WORKERS_MAX = 50;

/** How a pool gets a worker. */
function Connect({ pool, standing }: { pool: Pool; standing: string }) {
  return (
    <div className="space-y-2 p-3">
      <p className="text-soft">{standing} Start one where its work should run:</p>
      <CopyLine text={`towpath worker start --pool ${pool.name}`} />
    </div>
  );
}

function Workers({ pool }: { pool: Pool }) {
  const now = useNow(pool.running > 0);
  const query = useQuery({
    queryKey: ["workers", pool.name],
    queryFn: ({ signal }) =>
      client.listWorkers({ params: { name: pool.name }, query: { limit: WORKERS_MAX } }, { signal }),
    refetchInterval: TIME_PASSES_MS,
  });
  return (
    <Shown query={query} rows={2}>
      {({ items }) =>
        items.length === 0 ? (
          <Connect pool={pool} standing="No worker has ever served this pool." />
        ) : (
          <>
            <ul>
              {items.map((worker) => (
                <WorkerRow key={worker.id} {...{ worker, now }} />
              ))}
            </ul>
            {items.every((worker) => !worker.online) && (
              <div className="border-t border-line">
                <Connect pool={pool} standing="Every worker of this pool is offline." />
              </div>
            )}
          </>
        )
      }
    </Shown>
  );
}

/** What waits in a pool, the few that wait longest with their reasons. */
function Line({ pool }: { pool: Pool }) {
  const query = useQuery({
    queryKey: ["runs", "oldest", LINE, pool.name],
    queryFn: ({ signal }) =>
      client.listRuns(
        { query: { state: LINE, pool: pool.name, order: "oldest", limit: LINE_SHOWN } },
        { signal },
      ),
  });
  const runs = query.data?.items ?? [];
  if (runs.length === 0) return null;
  return (
    <div className="border-t border-line">
      <h3 className="flex px-3 pt-2 text-12 font-medium text-soft">
        Waiting, and why
        <Link
          to="/runs"
          search={{ pool: pool.name, state: LINE }}
          className="ml-auto font-normal text-accent hover:underline"
        >
          All that wait here
        </Link>
      </h3>
      <RunRows runs={runs} note={(run) => <Reason run={run} />} />
    </div>
  );
}

function LimitChip({ name, limit }: { name: string; limit: Limit }) {
  return (
    <Link to="/limits" hash={limit.name} className="chip hover:bg-hover">
      {name}{" "}
      <span className={limit.taken >= limit.slots ? "text-warn" : "text-faint"}>
        {limit.taken} of {limit.slots} slots
      </span>
    </Link>
  );
}

/** A pool's queues by priority, and its limits with how much of them is taken. */
function Rules({ pool, limits }: { pool: Pool; limits: readonly Limit[] }) {
  const query = useQuery({
    queryKey: ["queues", pool.name],
    queryFn: ({ signal }) => client.listQueues({ params: { name: pool.name } }, { signal }),
  });
  const queues = query.data?.items ?? [];
  const own = limits.find(({ kind, name }) => kind === "pool" && name === pool.name);
  const ofQueues = limits.filter(({ kind, name }) => kind === "queue" && name.startsWith(`${pool.name}/`));
  if (queues.length === 0 && own === undefined) return null;
  return (
    <div className="flex flex-wrap items-center gap-1.5 border-t border-line px-3 py-2">
      {own && <LimitChip name="Limit of the pool" limit={own} />}
      {queues.length > 0 && <span className="text-12 text-faint">Queues</span>}
      {queues.map((queue) => (
        <span key={queue.name} className="chip">
          {queue.name} <span className="text-faint tabular-nums">priority {queue.priority}</span>
        </span>
      ))}
      {ofQueues.map((limit) => (
        <LimitChip key={limit.id} name={`Limit of ${limit.name}`} limit={limit} />
      ))}
    </div>
  );
}

/** A pool: its workers and what they hold, what waits, its queues and limits. */
export function PoolPanel({ pool, limits }: { pool: Pool; limits: readonly Limit[] }) {
  return (
    <div id={pool.name} className="scroll-mt-16">
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
        <Workers pool={pool} />
        <Line pool={pool} />
        <Rules {...{ pool, limits }} />
      </Panel>
    </div>
  );
}
