import { LIMITS, runWaitsMax, type Wait } from "@towpath/contract";
import type { Client } from "./client.ts";

/** The most pages. A run has no more waits than fit in them. */
const PAGES_MAX = Math.ceil(LIMITS.waits / runWaitsMax);

/** The open waits of a run, oldest first, from all pages. */
export async function listOpenWaits(
  client: Pick<Client, "listWaits">,
  runId: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Wait[]> {
  const open: Wait[] = [];
  let cursor: string | undefined;
  for (let count = 0; count < PAGES_MAX; count++) {
    const query = { state: "open", ...(cursor !== undefined && { cursor }) };
    const { items, next } = await client.listWaits({ params: { runId }, query }, options);
    // A control plane of an earlier release lists all states, on one page.
    open.push(...items.filter((one) => one.state === "open"));
    if (next === null) break;
    cursor = next;
  }
  return open;
}
