import type { Carry, Root } from "../program.ts";
import { printLogs } from "./commands.ts";

/** Declares `logs`. */
export function declareLogs(root: Root, carry: Carry): void {
  root
    .command("logs")
    .summary("print a run's log")
    .description(
      "Prints a run's log, in order, with gaps where lines were lost. Under --json, one entry a line.",
    )
    .argument("<run>", "the run's id, or its beginning or end")
    .option("-f, --follow", "go on until the run ends; the exit code is then the outcome")
    .action((id, options, command) =>
      carry(command, (invocation) => printLogs(invocation, { id, follow: options.follow === true })),
    );
}
