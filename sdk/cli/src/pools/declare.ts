import { type Carry, type Root, wholeNumber } from "../program.ts";
import { createPool, deleteQueue, listPools, listQueues, setQueue } from "./commands.ts";

/** Declares `pool` and `queue`. */
export function declarePools(root: Root, carry: Carry): void {
  const pool = root
    .command("pool")
    .summary("list and create work pools")
    .description("A pool is where work runs: workers serve it, deployments name it.");
  pool
    .command("ls")
    .description("Lists pools with their workers and what waits.")
    .action((_, command) => carry(command, listPools));
  pool
    .command("create")
    .description("Makes a pool. Repeating it changes nothing.")
    .argument("<name>", "lower-case letters, digits, - and _")
    .action((name, _, command) => carry(command, (invocation) => createPool(invocation, name)));
  declareQueues(root, carry);
}

function declareQueues(root: Root, carry: Carry): void {
  const queue = root
    .command("queue")
    .summary("what goes first within a pool")
    .description(
      "A queue is a part of a pool's line: what waits in one of higher priority goes first, whatever its own priority.",
    );
  queue
    .command("set")
    .description("Makes a queue, or gives the one of this name another priority.")
    .argument("<pool>", "the pool")
    .argument("<queue>", "lower-case letters, digits, - and _")
    .option("--priority <n>", "-100 to 100; runs in no queue wait as at 0", wholeNumber, 0)
    .action((pool, name, { priority }, command) =>
      carry(command, (invocation) => setQueue(invocation, { pool, queue: name, priority })),
    );
  queue
    .command("ls")
    .description("Lists a pool's queues, the highest priority first.")
    .argument("<pool>", "the pool")
    .action((pool, _, command) => carry(command, (invocation) => listQueues(invocation, pool)));
  queue
    .command("rm")
    .description("Deletes a queue. What waits in it keeps its place.")
    .argument("<pool>", "the pool")
    .argument("<queue>", "the queue")
    .action((pool, name, _, command) =>
      carry(command, (invocation) => deleteQueue(invocation, { pool, queue: name })),
    );
}
