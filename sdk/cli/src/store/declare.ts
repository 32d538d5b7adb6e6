import { Option } from "@commander-js/extra-typings";
import type { Carry, Root } from "../program.ts";
import { pruneWorkerStore, SIDES } from "./prune.ts";

/** Declares `store`. */
export function declareStore(root: Root, carry: Carry): void {
  root
    .command("store")
    .summary("delete old values from a worker's store")
    .description("Manages the store in which a worker's flows keep their values.")
    .command("prune")
    .description(
      "Deletes values of runs that have been idle longer than the given age: results of tasks and flows, and saved values. A run's values are deleted together. Results that several runs share are deleted by their own age. If this machine has a key for the worker's control plane, the refs there are deleted first, so that a rerun's plan is right, and runs that have not ended are kept. Without a key only the store is changed, and the command says so.",
    )
    .option("--older-than <age>", "delete values of runs that have been idle for longer, such as 30d")
    .option("--run <run>", "delete only values of this run, by its whole id; without --older-than at any age")
    .addOption(
      new Option(
        "--only <side>",
        "delete only the values in the store, or only one run's refs on the control plane",
      ).choices(SIDES),
    )
    .option("--store <name>", "use the store of this name in the worker's configuration")
    .option("--dry-run", "count what would be deleted, and delete nothing")
    .option("--pool <name>", "choose the state folder's worker of this pool")
    .option("--config <file>", "use this worker configuration")
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
