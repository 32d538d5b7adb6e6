import type { Client } from "@towpath/client";
import { LIMITS, type Worker } from "@towpath/contract";
import { bad, type Check, good } from "./checks.ts";

/** The name that workers give to the default store. */
export const UNNAMED_STORE = "default";

const TITLE = "one store";
const FIX =
  "configure the same store for the workers of these pools: one bucket, or one shared folder at the same path";

/** Pools whose runs share values, and the name of the store. */
interface Sharing {
  readonly pools: readonly string[];
  readonly store: string;
}

async function onlineIn(client: Client, name: string): Promise<Worker[]> {
  const page = await client.listWorkers({ params: { name }, query: { limit: LIMITS.pageRows } });
  return page.items.filter(({ online }) => online);
}

function callOf(store: string): string {
  return store === UNNAMED_STORE ? "the store" : `the store "${store}"`;
}

/** Why workers cannot share values. Null if they can. */
function faultOf(workers: readonly Worker[], store: string): string | null {
  const which = callOf(store);
  const [first] = workers;
  for (const worker of workers) {
    const [mark, other] = [worker.stores[store], first?.stores[store]];
    const who = `the worker ${worker.name} of "${worker.pool}"`;
    if (mark === undefined) return `${who} does not reach ${which}`;
    if (first === undefined || other === undefined) continue;
    const than = `${first.name} of "${first.pool}"`;
    if (mark.id !== other.id) return `${who} uses another location as ${which} than ${than}`;
    if (mark.place !== other.place) return `${who} uses ${which} at another path or address than ${than}`;
  }
  return null;
}

/**
 * Whether the workers of pools that share values use one store. The first worker wrote a random id into the store and each
 * worker has read it. Only these ids are compared.
 * @returns An empty list if no pools share values.
 */
export async function checkOneStore(client: Client, sharing: readonly Sharing[]): Promise<Check[]> {
  const told: string[] = [];
  for (const { pools, store } of sharing.filter((one) => one.pools.length > 1)) {
    const workers = (await Promise.all(pools.map((pool) => onlineIn(client, pool)))).flat();
    const fault = faultOf(workers, store);
    if (fault !== null) return [bad(TITLE, fault, FIX)];
    told.push(`${pools.join(" and ")} share ${callOf(store)}`);
  }
  return told.length === 0 ? [] : [good(TITLE, [...new Set(told)].join(", "))];
}
