import { type Carry, type Root, wholeNumber } from "../program.ts";
import { createPool, deletePool, deleteQueue, listPools, listQueues, setQueue } from "./commands.ts";

/** Declares `pool` and `queue`. */
export function declarePools(root: Root, carry: Carry): void {
  const pool = root
    .command("pool")
    .summary("list, create and remove work pools")
    .description(
      "Lists, creates and removes work pools. Runs of a deployment wait in its pool, and the pool's workers run them.",
    );
  pool
    .command("ls")
    .description("Lists pools with their workers and waiting runs.")
    .action((_, command) => carry(command, listPools));
  pool
    .command("create")
    .description("Creates a pool. Repeating it changes nothing.")
    .argument("<name>", "lower-case letters, digits, - and _")
    .action((name, _, command) => carry(command, (invocation) => createPool(invocation, name)));
  pool
    .command("rm")
    .description("Removes a pool with its queues and limits. A pool with deployments or workers is refused.")
    .argument("<name>", "the pool")
    .action((name, _, command) => carry(command, (invocation) => deletePool(invocation, name)));
  declareQueues(root, carry);
}

function declareQueues(root: Root, carry: Carry): void {
  const queue = root
    .command("queue")
    .summary("set priorities within a pool")
    .description(
      "Sets, lists and removes the queues of a pool. Runs in a queue of higher priority start first, whatever the runs' own priority.",
    );
  queue
    .command("set")
    .description("Creates a queue or changes its priority.")
    .argument("<pool>", "the pool")
    .argument("<queue>", "lower-case letters, digits, - and _")
    .option("--priority <n>", "set the priority, -100 to 100; runs without a queue have 0", wholeNumber, 0)
    .action((pool, name, { priority }, command) =>
      carry(command, (invocation) => setQueue(invocation, { pool, queue: name, priority })),
    );
  queue
    .command("ls")
    .description("Lists a pool's queues, highest priority first.")
    .argument("<pool>", "the pool")
    .action((pool, _, command) => carry(command, (invocation) => listQueues(invocation, pool)));
  queue
    .command("rm")
    .description("Removes a queue. Its waiting runs keep their position in the pool.")
    .argument("<pool>", "the pool")
    .argument("<queue>", "the queue")
    .action((pool, name, _, command) =>
      carry(command, (invocation) => deleteQueue(invocation, { pool, queue: name })),
    );
}
