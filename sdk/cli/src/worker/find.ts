import type { Client } from "@towpath/client";
import { closest, LIMITS, type Worker } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { findPool } from "../pools/find.ts";

/** The most pools that are searched. */
const POOLS_MAX = 10_000;
/** The most workers of a pool that are searched. */
const WORKERS_MAX = 10_000;
/** The most workers of one name that a message lists. */
const NAMED_MAX = 5;

/** All rows of a list, page by page, at most `rowsMax` and the rest of a page. */
async function allOf<T>(
  list: (query: { limit: number; cursor?: string }) => Promise<{ items: T[]; next: string | null }>,
  rowsMax: number,
): Promise<T[]> {
  const found: T[] = [];
  let cursor: string | undefined;
  do {
    const page = await list({ limit: LIMITS.pageRows, ...(cursor === undefined ? {} : { cursor }) });
    found.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && found.length < rowsMax);
  return found;
}

/** All workers of a pool, the last seen first, at most `WORKERS_MAX`. */
export function workersOf(client: Client, pool: string): Promise<Worker[]> {
  return allOf((query) => client.listWorkers({ params: { name: pool }, query }), WORKERS_MAX);
}

/** Which worker a command is about. */
export interface WorkerSearch {
  /** The worker's name or id. */
  readonly name: string;
  /** @default all pools */
  readonly pool: string | undefined;
  /** The subcommand of `towpath worker`, for messages. */
  readonly command: string;
  /** If several workers have the name and this is true of one of them, that one is meant. */
  readonly isMeant: (worker: Worker) => boolean;
}

/** The worker of this name, or with this id. @throws Failure if there is none, or if several are possible. */
export async function findWorker(client: Client, search: WorkerSearch): Promise<Worker> {
  const { name, pool } = search;
  const pools =
    pool === undefined
      ? await allOf((query) => client.listPools({ query }), POOLS_MAX)
      : [await findPool(client, pool)];
  const workers = (await Promise.all(pools.map((one) => workersOf(client, one.name)))).flat();
  const found = workers.filter((worker) => worker.name === name || worker.id === name);
  const [first, ...others] = found;
  if (first === undefined) {
    const near = closest(
      name,
      workers.map((worker) => worker.name),
    );
    throw new Failure(`There is no worker "${name}"${pool === undefined ? "" : ` in pool "${pool}"`}.`, {
      exit: "notFound",
      code: "worker-not-found",
      next: [...(near === null ? [] : [`did you mean "${near}"?`]), "`towpath worker ls` lists the workers"],
    });
  }
  if (others.length === 0) return first;
  const meant = found.filter(search.isMeant);
  const [only] = meant;
  if (meant.length === 1 && only !== undefined) return only;
  throw new Failure(`${found.length} workers have the name "${name}".`, {
    exit: "usage",
    code: "ambiguous",
    next: found
      .slice(0, NAMED_MAX)
      .map(
        ({ id, pool: of, online, held, lastSeenAt }) =>
          `\`towpath worker ${search.command} ${id}\` is of pool ${of}, ${online ? "online" : "offline"} with ${held} ${held === 1 ? "run" : "runs"}, last seen ${lastSeenAt}`,
      ),
  });
}
