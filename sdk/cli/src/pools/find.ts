import type { Client } from "@towpath/client";
import { closest, LIMITS, type Pool, Problem } from "@towpath/contract";
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
