import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Limit, Pool, Worker } from "@towpath/contract";
import { useMay } from "../identity/me.ts";
import { client } from "../kernel/client.ts";
import { useNow } from "../kernel/clock.ts";
import { CopyText } from "../kernel/copy-text.tsx";
import { Panel } from "../kernel/panel.tsx";
import { TIME_PASSES_MS } from "../kernel/query.ts";
import { QueryResult, type QueryState } from "../kernel/query-result.tsx";
import { NewLimitButton } from "../limits/limit-buttons.tsx";
import { RunRows } from "../runs/list/run-rows.tsx";
import { Reason } from "../runs/waits/why-panel.tsx";
import { DeletePoolButton, QueueButton } from "./pool-buttons.tsx";
import { PoolLimits, Queues } from "./pool-rules.tsx";
import { WorkerRow } from "./worker-row.tsx";

/** The states of a run that waits for a worker or a slot. */
const QUEUED = "ready,blocked";
const QUEUED_SHOWN = 3;
const WORKERS_MAX = 50;

/** The command that connects a worker to a pool. */
function Connect({ pool, standing }: { pool: Pool; standing: string }) {
  return (
    <div className="space-y-2 p-3">
      <p className="text-soft">{standing} Start one where the runs should execute:</p>
      <CopyText text={`towpath worker start --pool ${pool.name}`} />
    </div>
  );
}

function useWorkers(pool: Pool) {
  return useQuery({
    queryKey: ["workers", pool.name],
    queryFn: ({ signal }) =>
      client.listWorkers({ params: { name: pool.name }, query: { limit: WORKERS_MAX } }, { signal }),
    refetchInterval: TIME_PASSES_MS,
  });
}

/** The taken and free slots of online workers. Paused and draining workers have no free slots. */
function slotsText(workers: readonly Worker[]): string {
  const online = workers.filter((worker) => worker.online);
  if (online.length === 0) return "no worker online";
  const sum = (of: (worker: Worker) => number) => online.reduce((all, worker) => all + of(worker), 0);
  const free = sum(({ held, capacity, paused, draining }) =>
    paused || draining ? 0 : Math.max(0, capacity - held),
  );
  return `${sum((one) => one.held)} of ${sum((one) => one.capacity)} slots taken, ${free} free`;
}

/** Says so if the runs of an online worker can read what the worker can. */
function trustText(workers: readonly Worker[]): string {
  const isOneDomain = workers.some((one) => one.online && one.wall === "none" && one.namespaces !== true);
  return isOneDomain ? "; one trust domain" : "";
}

function Workers({ pool, query }: { pool: Pool; query: QueryState<{ items: Worker[] }> }) {
  const now = useNow(pool.running > 0);
  return (
    <QueryResult query={query} rows={2}>
      {({ items }) =>
        items.length === 0 ? (
          <Connect pool={pool} standing="No worker serves this pool." />
        ) : (
          <>
            <ul>
              {items.map((worker) => (
                <WorkerRow key={worker.id} worker={worker} now={now} />
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
    </QueryResult>
  );
}

/** The runs that have waited longest in a pool, with their reasons. */
function Queued({ pool }: { pool: Pool }) {
  const query = useQuery({
    queryKey: ["runs", "oldest", QUEUED, pool.name],
    queryFn: ({ signal }) =>
      client.listRuns(
        { query: { state: QUEUED, pool: pool.name, order: "oldest", limit: QUEUED_SHOWN } },
        { signal },
      ),
  });
  const runs = query.data?.items ?? [];
  if (runs.length === 0) return null;
  return (
    <div className="border-t border-line">
      <h3 className="flex px-3 pt-2 text-12 font-medium text-soft">
        Waiting runs
        <Link
          to="/runs"
          search={{ pool: pool.name, state: QUEUED }}
          className="ml-auto font-normal text-accent hover:underline"
        >
          All waiting runs
        </Link>
      </h3>
      <RunRows runs={runs} note={(run) => <Reason run={run} />} />
    </div>
  );
}

/** A pool: its workers with their runs, its waiting runs, its queues and limits. */
export function PoolPanel({ pool, limits }: { pool: Pool; limits: readonly Limit[] }) {
  const workers = useWorkers(pool);
  const may = useMay("deploy");
  const slots = workers.data && `, ${slotsText(workers.data.items)}`;
  const trust = trustText(workers.data?.items ?? []);
  return (
    <div id={pool.name} className="scroll-mt-16">
      <Panel
        title={pool.name}
        note={`${pool.type}${slots ?? ""}; ${pool.running} running, ${pool.ready} waiting${trust}`}
        flush
        actions={
          <Link to="/runs" search={{ pool: pool.name }} className="text-12 text-accent hover:underline">
            Runs of this pool
          </Link>
        }
      >
        <Workers pool={pool} query={workers} />
        <Queued pool={pool} />
        <Queues pool={pool} limits={limits} />
        <PoolLimits pool={pool} limits={limits} />
        {may && (
          <div className="flex gap-2 border-t border-line px-3 py-2">
            <QueueButton pool={pool} />
            {limits.some(({ kind, name }) => kind === "pool" && name === pool.name) || (
              <NewLimitButton of={{ kind: "pool", name: pool.name }} />
            )}
            <span className="ml-auto">
              <DeletePoolButton pool={pool} />
            </span>
          </div>
        )}
      </Panel>
    </div>
  );
}
