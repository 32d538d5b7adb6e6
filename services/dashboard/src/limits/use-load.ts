import { useQuery } from "@tanstack/react-query";
import { LIMITS, type Limit } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import type { LimitTexts, Load } from "./limit-texts.ts";

/** The states of runs that count when a limit of their deployment, pool or tag is first set. */
const COUNTED = "ready,claimed,running,cancelling";

/** What would hold slots of a new limit of a deployment, pool, queue or tag. */
async function loadOf({ kind, name }: Pick<Limit, "kind" | "name">, signal: AbortSignal): Promise<Load> {
  if (kind === "queue") {
    const [pool = "", queue = ""] = name.split("/");
    const { items } = await client.listQueues({ params: { name: pool } }, { signal });
    const { ready = 0, running = 0 } = items.find((one) => one.name === queue) ?? {};
    return { taken: ready + running, waiting: 0 };
  }
  const of = kind === "pool" ? { pool: name } : kind === "tag" ? { tag: name } : { deployment: name };
  const { items, next } = await client.listRuns(
    { query: { ...of, state: COUNTED, limit: LIMITS.pageRows } },
    { signal },
  );
  return { taken: items.length, waiting: 0, more: next !== null };
}

/**
 * What holds slots of a limit now, or would hold slots of a new one. Undefined: not known. A new named limit has no
 * holders.
 */
export function useLoad({ kind, name }: LimitTexts, limit: Limit | null): Load | undefined {
  const isNew = limit === null && kind !== "named";
  const isWhole = name !== "" && (kind !== "queue" || /^[^/]+\/[^/]+$/.test(name));
  const counted = useQuery({
    enabled: isNew && isWhole,
    queryKey: ["runs", "limited", kind, name],
    queryFn: ({ signal }) => loadOf({ kind, name }, signal),
  });
  const current = useQuery({
    enabled: limit !== null,
    queryKey: ["limits", "one", limit?.id],
    queryFn: ({ signal }) => client.getLimit({ params: { limitId: limit?.id ?? "" } }, { signal }),
    ...(limit && { initialData: limit }),
  });
  if (limit !== null) return current.data;
  if (kind === "named") return { taken: 0, waiting: 0 };
  return counted.data;
}
