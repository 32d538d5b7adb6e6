import { Link } from "@tanstack/react-router";
import type { Pool } from "@towpath/contract";
import { counted } from "../kernel/format.ts";
import { Panel } from "../kernel/panel.tsx";

const SHOWN_MAX = 50;

function Workers({ pool }: { pool: Pool }) {
  if (pool.workersOnline > 0)
    return <span className="text-good">✓ {counted(pool.workersOnline, "worker")} online</span>;
  // A pool without workers is a problem only if runs wait in it.
  return <span className={pool.ready > 0 ? "text-bad" : "text-faint"}>✗ no worker online</span>;
}

/** The pools with their workers and runs. Pools whose runs wait for a worker come first. */
export function PoolHealth({ pools }: { pools: readonly Pool[] }) {
  const stuck = (pool: Pool) => (pool.workersOnline === 0 && pool.ready > 0 ? 0 : 1);
  return (
    <Panel title="Workers" flush>
      <ul>
        {pools
          .toSorted((a, b) => stuck(a) - stuck(b))
          .slice(0, SHOWN_MAX)
          .map((pool) => (
            <li
              key={pool.id}
              className="flex flex-wrap items-center gap-x-3 border-line px-3 py-2 not-last:border-b"
            >
              <Link to="/pools" hash={pool.name} className="min-w-20 font-medium hover:text-accent">
                {pool.name}
              </Link>
              <Workers pool={pool} />
              {pool.workersPaused > 0 && <span className="text-warn">{pool.workersPaused} paused</span>}
              <span className="ml-auto text-12 text-soft tabular-nums">
                {pool.running} running, {pool.ready} waiting
              </span>
            </li>
          ))}
      </ul>
    </Panel>
  );
}
