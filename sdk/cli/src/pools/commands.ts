import { LIMITS, type Pool } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { formatAge } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { findPool } from "./find.ts";

/** `towpath pool ls` */
export async function listPools(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const page = await client.listPools({ query: { limit: LIMITS.pageRows } });
  output.data(page);
  if (page.items.length === 0) return output.next("no pools yet; `towpath pool create NAME` creates one");
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

/** Workers that are paused; `towpath run` and the run's page say why. */
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
  output.next(`\`towpath key create NAME --worker --pool ${pool.name}\` creates a key for its workers`);
}

/** `towpath pool rm NAME` */
export async function deletePool(invocation: Invocation, name: string): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const pool = await findPool(client, name);
  await client.deletePool({ params: { name: pool.name } });
  output.data(pool);
  output.line(
    `${output.style.green("✓")} removed pool ${output.style.bold(pool.name)} with its queues and limits`,
  );
}

/** `towpath queue set POOL QUEUE` */
export async function setQueue(
  invocation: Invocation,
  args: { pool: string; queue: string; priority: number },
): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const body = { queue: args.queue, priority: args.priority };
  const queue = await client.setQueue({ params: { name: args.pool }, body });
  output.data(queue);
  const name = output.style.bold(`${queue.pool}/${queue.name}`);
  output.line(`${output.style.green("✓")} queue ${name} with priority ${queue.priority}`);
  output.next(
    `\`towpath limit set ${queue.pool}/${queue.name} 2 --kind queue\` limits how many of its runs run at once`,
  );
}

/** `towpath queue ls POOL` */
export async function listQueues(invocation: Invocation, pool: string): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const page = await client.listQueues({ params: { name: pool } });
  output.data(page);
  if (page.items.length === 0)
    return output.next(`no queues yet; \`towpath queue set ${pool} urgent --priority 10\` creates one`);
  output.table(
    ["QUEUE", "PRIORITY", "WAITING", "RUNNING", "CREATED"],
    page.items.map(({ name, priority, ready, running, createdAt }) => [
      name,
      String(priority),
      String(ready),
      String(running),
      formatAge(createdAt, invocation.clock.nowMs()),
    ]),
  );
}

/** `towpath queue rm POOL QUEUE` */
export async function deleteQueue(
  invocation: Invocation,
  args: { pool: string; queue: string },
): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const { items } = await client.listQueues({ params: { name: args.pool } });
  const found = items.find(({ name }) => name === args.queue);
  if (found === undefined)
    throw new Failure(`Pool "${args.pool}" has no queue "${args.queue}".`, {
      exit: "notFound",
      code: "queue-not-found",
      next: [
        items.length === 0
          ? `\`towpath queue set ${args.pool} ${args.queue}\` creates it`
          : `queues: ${items.map(({ name }) => name).join(", ")}`,
      ],
    });
  await client.deleteQueue({ params: { name: args.pool, queue: args.queue } });
  output.data(found);
  output.line(`${output.style.green("✓")} removed queue ${output.style.bold(`${args.pool}/${args.queue}`)}`);
  if (found.ready > 0) output.line(`  ${found.ready} waiting runs keep their position in the pool`);
}
