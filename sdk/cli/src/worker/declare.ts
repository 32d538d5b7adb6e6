import type { Carry, Root } from "../program.ts";
import { startWorker } from "./start.ts";

/** Declares `worker`. */
export function declareWorker(root: Root, carry: Carry): void {
  root
    .command("worker")
    .summary("start a worker")
    .description(
      "A worker runs what is signed, on this machine; it needs outbound HTTPS and no inbound port.",
    )
    .command("start")
    .description(
      "Starts a worker and stays until it is stopped; SIGTERM lets work finish first. Beside a state folder the configuration and key are made for you; elsewhere pass a configuration with --config.",
    )
    .option("--pool <name>", "the pool to serve")
    .option("--config <file>", "the worker's configuration")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath worker start --pool local\n  $ towpath worker start --config /etc/towpath/worker.json",
    )
    .action(({ pool, config }, command) =>
      carry(command, (invocation) => startWorker(invocation, { pool, config })),
    );
}
