import { LIMITS, stockParts, type Worker } from "@towpath/contract";
import { formatAge, formatDuration } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { findPool } from "../pools/find.ts";

/** `towpath worker ls [POOL]` */
export async function listWorkers(invocation: Invocation, pool: string | undefined): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const query = { limit: LIMITS.pageRows };
  const pools =
    pool === undefined ? (await client.listPools({ query })).items : [await findPool(client, pool)];
  const pages = await Promise.all(pools.map(({ name }) => client.listWorkers({ params: { name }, query })));
  const items = pages.flatMap((page) => page.items);
  output.data({ items });
  if (items.length === 0)
    return output.next(`no workers yet; \`towpath worker start --pool ${pool ?? "NAME"}\` starts one`);
  // A name that several workers have names none of them.
  const names = items.map(({ name }) => name);
  const showsIds = new Set(names).size < names.length;
  output.table(
    ["WORKER", ...(showsIds ? ["ID"] : []), "POOL", "STATUS", "SLOTS", "COMPUTE IN USE", "LAST SEEN"],
    items.map((worker) => workerRow(worker, { invocation, showsIds })),
  );
  drawHolds(items, invocation);
}

/** Which runs take their slots, and since when. */
function drawHolds(items: readonly Worker[], { output, clock }: Invocation): void {
  const rows = items.flatMap(({ name, holds }) =>
    holds.map(({ runId, deployment, since, leaseUntil, usualMs }) => [
      name,
      runId,
      deployment,
      formatAge(since, clock.nowMs()),
      leaseUntil === null ? "" : leaseLeft(leaseUntil, clock.nowMs()),
      usualMs === null ? "" : formatDuration(usualMs),
    ]),
  );
  if (rows.length === 0) return;
  output.line();
  output.table(["WORKER", "RUNS", "DEPLOYMENT", "SINCE", "LEASE", "USUALLY"], rows);
}

/** How long the lease lasts without renewal, by this machine's clock. */
function leaseLeft(until: string, now: number): string {
  const ms = Date.parse(until) - now;
  return ms > 0 ? `${formatDuration(ms)} left` : "expired";
}

function workerRow(
  worker: Worker,
  { invocation, showsIds }: { invocation: Invocation; showsIds: boolean },
): string[] {
  const taken = stockParts(worker.amounts, worker.taken).map((part) => part.text);
  return [
    worker.name,
    ...(showsIds ? [worker.id] : []),
    worker.pool,
    standingOf(worker, invocation),
    `${worker.held} of ${worker.capacity}`,
    taken.join(", "),
    formatAge(worker.lastSeenAt, invocation.clock.nowMs()),
  ];
}

function standingOf(worker: Worker, { output: { style } }: Invocation): string {
  if (worker.gone !== null) return style.red("gone");
  if (worker.stoppedAt !== null) return style.dim("stopped");
  if (!worker.online) return style.dim("offline");
  if (worker.paused !== null) return style.yellow("paused");
  return worker.draining ? style.yellow("draining") : style.green("online");
}
