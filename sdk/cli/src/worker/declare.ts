import type { Carry, Root } from "../program.ts";
import { listWorkers } from "./list.ts";
import { startWorker } from "./start.ts";
import { showWire } from "./wire.ts";

/** Declares `worker` and `wire`. */
export function declareWorker(root: Root, carry: Carry): void {
  const worker = root
    .command("worker")
    .summary("start and list workers")
    .description(
      "A worker runs what is signed, on this machine; it needs outbound HTTPS and no inbound port.",
    );
  worker
    .command("start")
    .description(
      "Starts a worker and stays until it is stopped; SIGTERM lets work finish first. Beside a state folder the configuration and key are made for you; elsewhere pass a configuration with --config. It prints its log: lines for people on a terminal, JSON in a pipe or with --json or LOG_FORMAT=json.",
    )
    .option("--pool <name>", "the pool to serve")
    .option("--config <file>", "the worker's configuration")
    .option(
      "--compute <amounts>",
      "what it has for runs that need some, over its configuration and what it detects, such as cpu=8,memory=30GiB,licences=2",
    )
    .option(
      "--gpus <ids>",
      "its GPUs, as CUDA_VISIBLE_DEVICES names them, with their kinds: 0=a100,1=a100; none for none",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath worker start --pool local\n  $ towpath worker start --config /etc/towpath/worker.json",
    )
    .action(({ pool, config, compute, gpus }, command) =>
      carry(command, (invocation) => startWorker(invocation, { pool, config, compute, gpus })),
    );
  worker
    .command("ls")
    .description(
      "Lists the workers of a pool, with what each has for runs that need some and what is taken of it.",
    )
    .argument("[pool]", "the pool; all without one")
    .action((pool, _, command) => carry(command, (invocation) => listWorkers(invocation, pool)));
  root
    .command("wire")
    .summary("what left a worker's network for a run")
    .description(
      "Counts what a worker on this machine sent for a run, from its journals: records and bytes by kind, and every field with whether DATA.md lists it. Exit code 1 if one is not listed. It asks nobody over the network.",
    )
    .argument("<run>", "the run's id, or its end")
    .option("--raw", "print every record as it was sent, a line each")
    .option("--pool <name>", "the pool of the worker beside the state folder")
    .option("--config <file>", "the worker's configuration")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath wire 0193a0b1-7c00-7000-8000-000000000001\n  $ towpath wire RUN --raw --config /etc/towpath/worker.json",
    )
    .action((run, options, command) =>
      carry(command, (invocation) =>
        showWire(invocation, {
          run,
          pool: options.pool,
          config: options.config,
          raw: options.raw === true,
        }),
      ),
    );
}
