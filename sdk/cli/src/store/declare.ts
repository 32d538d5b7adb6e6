import type { Carry, Root } from "../program.ts";
import { pruneWorkerStore } from "./prune.ts";

/** Declares `store`. */
export function declareStore(root: Root, carry: Carry): void {
  root
    .command("store")
    .summary("look after the store of a worker")
    .description("Looks after the store in which a worker's flows keep their values.")
    .command("prune")
    .description(
      "Removes from a worker's store what old runs have kept: results of tasks, of flows, saved values, and results that runs share. A run goes as a whole, by the newest of what it kept. A rerun or a resume that misses something runs that task again. It asks nobody over the network.",
    )
    .requiredOption("--older-than <age>", "how long ago a run kept something last, such as 30d")
    .option("--run <run>", "only this run's, by its whole id")
    .option("--store <name>", "the store of this name in the worker's configuration")
    .option("--dry-run", "only count")
    .option("--pool <name>", "the pool of the worker beside the state folder")
    .option("--config <file>", "the worker's configuration")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath store prune --older-than 30d --dry-run\n  $ towpath store prune --older-than 2w --config /etc/towpath/worker.json",
    )
    .action(({ olderThan, run, store, dryRun, pool, config }, command) =>
      carry(command, (invocation) =>
        pruneWorkerStore(invocation, { olderThan, run, store, pool, config, dryRun: dryRun === true }),
      ),
    );
}
