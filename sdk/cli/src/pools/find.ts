import type { Client } from "@towpath/client";
import { closest, LIMITS, type Pool, Problem } from "@towpath/contract";
import { Failure } from "../failure.ts";

/** One pool. @throws Failure that suggests the name that was probably meant. */
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
      ...(near ? [`did you mean "${near}"?`] : names.length > 0 ? [`there are: ${names.join(", ")}`] : []),
      `\`towpath pool create ${name}\` makes it`,
    ];
    const code = "pool-not-found";
    throw new Failure(`There is no pool "${name}".`, { exit: "notFound", code, next, cause: failure });
  }
}
