import { Option } from "@commander-js/extra-typings";
import type { Carry, Root } from "../program.ts";
import { pruneWorkerStore, SIDES } from "./prune.ts";

/** Declares `store`. */
export function declareStore(root: Root, carry: Carry): void {
  root
    .command("store")
    .summary("look after the store of a worker")
    .description("Looks after the store in which a worker's flows keep their values.")
    .command("prune")
    .description(
      "Removes from a worker's store what old runs have kept: results of tasks, of flows, saved values, and, by their own age, results that runs share. A run goes as a whole, by the newest of what it kept. Where this place knows the worker's control plane and a key for it, the refs there are deleted first, so that a rerun's plan says what is gone, and a run that has not ended is left alone; else it says that nobody was told.",
    )
    .option("--older-than <age>", "how long ago a run kept something last, such as 30d")
    .option("--run <run>", "only this run's, by its whole id; without an age whatever its own")
    .addOption(
      new Option(
        "--only <side>",
        "one side alone: the values in the store, or the refs of one run on the control plane",
      ).choices(SIDES),
    )
    .option("--store <name>", "the store of this name in the worker's configuration")
    .option("--dry-run", "only count")
    .option("--pool <name>", "the pool of the worker beside the state folder")
    .option("--config <file>", "the worker's configuration")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath store prune --older-than 30d --dry-run\n  $ towpath store prune --run 0193a0b1-7c00-7000-8000-000000000001\n  $ towpath store prune --older-than 2w --config /etc/towpath/worker.json",
    )
    .action(({ olderThan, run, only, store, dryRun, pool, config }, command) =>
      carry(command, (invocation) =>
        pruneWorkerStore(invocation, { olderThan, run, only, store, pool, config, dryRun: dryRun === true }),
      ),
    );
}
