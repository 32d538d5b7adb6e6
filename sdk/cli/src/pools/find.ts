import type { Client } from "@towpath/client";
import { type Amounts, closest, LIMITS, neverHeld, type Pool, Problem } from "@towpath/contract";
import { Failure } from "../failure.ts";

/** Reads a pool. @throws Failure that suggests a similar name. */
export async function findPool(client: Client, name: string): Promise<Pool> {
  try {
    return await client.getPool({ params: { name } });
  } catch (failure) {
    const unknown = failure instanceof Problem && ["pool-not-found", "bad-request"].includes(failure.code);
    if (!unknown) throw failure;
    const { items } = await client.listPools({ query: { limit: LIMITS.pageRows } });
    const names = items.map((pool) => pool.name);
    const near = closest(name, names);
    const next = [
      ...(near ? [`did you mean "${near}"?`] : names.length > 0 ? [`pools: ${names.join(", ")}`] : []),
      `\`towpath pool create ${name}\` creates it`,
    ];
    const code = "pool-not-found";
    throw new Failure(`There is no pool "${name}".`, { exit: "notFound", code, next, cause: failure });
  }
}

/** A flow or task that runs in a pool, and the compute that it needs. */
export interface Wanting {
  readonly name: string;
  readonly pool: string;
  readonly needs: Amounts;
}

/**
 * Explains why no online worker can ever run something: `"train" needs 2 × a100; the workers of pool "gpu" have at most 1`.
 * Says nothing about a pool without workers: a worker that joins may be large enough.
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
