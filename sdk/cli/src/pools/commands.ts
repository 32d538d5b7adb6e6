import { LIMITS, type Pool } from "@towpath/contract";
import { formatAge } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";

/** `towpath pool ls` */
export async function listPools(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const page = await client.listPools({ query: { limit: LIMITS.pageRows } });
  output.data(page);
  if (page.items.length === 0)
    return output.next("no pools yet; `towpath pool create NAME` makes the first one");
  output.table(
    ["POOL", "TYPE", "WORKERS", "WAITING", "RUNNING", "CREATED"],
    page.items.map((pool) => poolRow(pool, invocation)),
  );
}

function poolRow(pool: Pool, invocation: Invocation): string[] {
  const { style } = invocation.output;
  const idle = pool.workersOnline === 0 && pool.ready > 0;
  const workers = idle
    ? style.red("none online")
    : `${pool.workersOnline} online${pausedOf(pool, invocation)}`;
  const created = formatAge(pool.createdAt, invocation.clock.nowMs());
  return [pool.name, pool.type, workers, String(pool.ready), String(pool.running), created];
}

/** Workers that take nothing for a while; `towpath run` and the run's page say why. */
function pausedOf({ workersPaused, workersOnline }: Pool, { output: { style } }: Invocation): string {
  if (workersPaused === 0) return "";
  const text = workersPaused === workersOnline ? ", all paused" : `, ${workersPaused} paused`;
  return workersPaused === workersOnline ? style.red(text) : style.yellow(text);
}

/** `towpath pool create NAME` */
export async function createPool(invocation: Invocation, name: string): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const pool = await client.createPool({ body: { name } });
  output.data(pool);
  output.line(`${output.style.green("✓")} pool ${output.style.bold(pool.name)}`);
  output.next(`\`towpath key create NAME --worker --pool ${pool.name}\` makes a key for its workers`);
}
