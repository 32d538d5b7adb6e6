import { Option } from "@commander-js/extra-typings";
import { LOG_LEVELS } from "@towpath/contract";
import { type Carry, countUpTo, type Root } from "../program.ts";
import { printLogs } from "./commands.ts";

const TAIL_MAX = 100_000;
const ATTEMPT_MAX = 100_000;

/** Declares `logs`. */
export function declareLogs(root: Root, carry: Carry): void {
  root
    .command("logs")
    .summary("print a run's log")
    .description(
      "Prints a run's log in order and marks lines that were lost. With --json it prints one entry on each line.",
    )
    .argument("<run>", "the run's id, or its beginning or end")
    .option("-f, --follow", "follow the log until the run ends; the exit code is the run's outcome")
    .option(
      "-g, --grep <text>",
      "print only lines that contain this text; case is ignored; the server searches; in sealed and stored lines, this command searches",
    )
    .addOption(
      new Option("-l, --level <level>", "print only lines of this level and above").choices(LOG_LEVELS),
    )
    .option("-n, --tail <count>", "print only the last entries, this many", countUpTo(TAIL_MAX))
    .option("--attempt <ordinal>", "print only lines of this attempt", countUpTo(ATTEMPT_MAX))
    .option(
      "--task <name>",
      "print only lines of calls of this task and of task runs that they called; a path means one call",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath logs RUN --level warn\n  $ towpath logs RUN --grep timeout --tail 20\n  $ towpath logs RUN --tail 50 --follow\n  $ towpath logs RUN --task load-region:lisbon",
    )
    .action((id, options, command) =>
      carry(command, (invocation) =>
        printLogs(invocation, {
          id,
          follow: options.follow === true,
          grep: options.grep,
          level: options.level,
          tail: options.tail,
          attempt: options.attempt,
          task: options.task,
        }),
      ),
    );
}
