import type { Carry, Root } from "../program.ts";
import { declareGone } from "./gone.ts";
import { listWorkers } from "./list.ts";
import { removeWorker } from "./remove.ts";
import { startWorker } from "./start.ts";
import { showWire } from "./wire.ts";

/** Declares `worker` and `wire`. */
export function declareWorker(root: Root, carry: Carry): void {
  const worker = root
    .command("worker")
    .summary("start, list, give up and remove workers")
    .description(
      "Starts, lists, gives up and removes workers. A worker runs signed deployments on this machine. It needs outbound HTTPS and no inbound port.",
    );
  worker
    .command("start")
    .description(
      "Starts a worker in the foreground. SIGTERM lets its work finish, then stops it. With a state folder nearby, the configuration and key are created for you; elsewhere give a configuration with --config. The worker prints its log: text on a terminal, JSON in a pipe or with --json or LOG_FORMAT=json.",
    )
    .option("--pool <name>", "serve this pool")
    .option("--config <file>", "use this worker configuration")
    .option(
      "--compute <amounts>",
      "set the worker's compute instead of its configured or detected one, such as cpu=8,memory=30GiB,licences=2",
    )
    .option(
      "--gpus <ids>",
      "set the worker's GPUs by their CUDA_VISIBLE_DEVICES ids and kinds: 0=a100,1=a100; or none",
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
    .description("Lists the workers of a pool with their runs, their compute and how much of it is in use.")
    .argument("[pool]", "the pool (default: all pools)")
    .action((pool, _, command) => carry(command, (invocation) => listWorkers(invocation, pool)));
  worker
    .command("gone")
    .summary("declare that a worker's machine is gone")
    .description(
      "Declares that the machine of a worker is gone. Its runs are lost when their leases have ended, at most 30 s later, instead of after `lostAfterMs`. Shows these runs and asks first, then waits until they are lost. A worker that still polls keeps its runs.",
    )
    .argument("<worker>", "the worker's name or id")
    .option("--pool <name>", "look only in this pool")
    .option("-y, --yes", "do not ask first")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath worker gone build-7\n  $ towpath worker gone build-7 --pool gpu --yes",
    )
    .action((name, { pool, yes }, command) =>
      carry(command, (invocation) => declareGone(invocation, { name, pool, yes: yes === true })),
    );
  worker
    .command("rm")
    .description(
      "Removes an offline worker from the list. Refused while the worker is online or holds runs. A worker that starts again registers again. Without a terminal, it needs --yes.",
    )
    .argument("<worker>", "the worker's name or id")
    .option("--pool <name>", "search only this pool (default: all pools)")
    .option("-y, --yes", "remove without a question")
    .action((name, { pool, yes }, command) =>
      carry(command, (invocation) => removeWorker(invocation, { name, pool, yes: yes === true })),
    );
  root
    .command("wire")
    .summary("show which data of a run left the worker's network")
    .description(
      "Counts the data that a worker on this machine sent for a run: records and bytes of each kind, and every field. Says of each field whether DATA.md lists it; the exit code is 1 if one is not listed. Reads the worker's journals and uses no network.",
    )
    .argument("<run>", "the run's id, or the end of it")
    .option("--raw", "print each record as it was sent, one on each line")
    .option("--pool <name>", "choose the state folder's worker of this pool")
    .option("--config <file>", "use this worker configuration")
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
