import { useQuery } from "@tanstack/react-query";
import type { Pool } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { counted } from "../kernel/format.ts";
import { useRowKeys } from "../kernel/keyboard.ts";
import { PageHead } from "../kernel/panel.tsx";
import { TIME_PASSES_MS } from "../kernel/query.ts";
import { Empty, QueryResult } from "../kernel/query-result.tsx";
import { useLimits } from "../limits/limit-rows.tsx";
import { NewPoolButton } from "./pool-buttons.tsx";
import { PoolPanel } from "./pool-panel.tsx";

function sumText(pools: readonly Pool[]): string {
  const sum = (of: (pool: Pool) => number) => pools.reduce((all, pool) => all + of(pool), 0);
  const online = counted(
    sum((pool) => pool.workersOnline),
    "worker",
  );
  return `${online} online, ${sum((pool) => pool.running)} running, ${sum((pool) => pool.ready)} waiting`;
}

/** Pools in use first, then the others. */
function byUse(pools: readonly Pool[]): Pool[] {
  const rank = (pool: Pool) => (pool.workersOnline + pool.running + pool.ready > 0 ? 0 : 1);
  return pools.toSorted((a, b) => rank(a) - rank(b));
}

/** The pools with their workers, running runs and waiting runs. */
export function PoolsPage() {
  useRowKeys();
  const query = useQuery({
    queryKey: ["pools"],
    queryFn: ({ signal }) => client.listPools({ query: { limit: 200 } }, { signal }),
    refetchInterval: TIME_PASSES_MS,
  });
  const limits = useLimits().data?.items ?? [];
  return (
    <>
      <PageHead title="Pools and workers" note={query.data && sumText(query.data.items)}>
        <NewPoolButton />
      </PageHead>
      <QueryResult query={query} look="panels" rows={9}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No pools yet">
              Create one here, or with <code className="text-ink">towpath pool create local</code>.
            </Empty>
          ) : (
            <div className="flex flex-col gap-4">
              {byUse(items).map((pool) => (
                <PoolPanel key={pool.id} pool={pool} limits={limits} />
              ))}
            </div>
          )
        }
      </QueryResult>
    </>
  );
}
