import type { Client } from "@towpath/client";
import { type Amounts, LIMITS, neverHeld } from "@towpath/contract";

/** Something that is to run in a pool, and what it needs there. */
export interface Wanting {
  readonly name: string;
  readonly pool: string;
  readonly needs: Amounts;
}

/**
 * Says of each that no worker online could ever hold it why not: `"train" needs 2 × a100; the workers of pool "gpu" have at most
 * 1`. Nothing of what needs nothing, or waits in a pool without workers: whoever comes may have it.
 */
export async function misfits(client: Client, wanting: readonly Wanting[]): Promise<string[]> {
  const some = wanting.filter(({ needs }) => Object.keys(needs).length > 0);
  const found: string[] = [];
  for (const [pool, those] of Map.groupBy(some, (one) => one.pool)) {
    const { items } = await client.listWorkers({ params: { name: pool }, query: { limit: LIMITS.pageRows } });
    const workers = items.filter(({ online }) => online).map(({ amounts }) => ({ total: amounts }));
    if (workers.length === 0) continue;
    for (const { name, needs } of those) {
      const why = neverHeld(needs, { pool, workers });
      if (why !== null) found.push(`"${name}" ${why}`);
    }
  }
  return found;
}
