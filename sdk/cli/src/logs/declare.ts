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
      "Prints a run's log, in order, with gaps where lines were lost. Under --json, one entry a line.",
    )
    .argument("<run>", "the run's id, or its beginning or end")
    .option("-f, --follow", "go on until the run ends; the exit code is then the outcome")
    .option(
      "-g, --grep <text>",
      "only lines that have this text, without regard to case; the server looks for it",
    )
    .addOption(new Option("-l, --level <level>", "only lines of this level and above").choices(LOG_LEVELS))
    .option("-n, --tail <count>", "only the last entries, this many", countUpTo(TAIL_MAX))
    .option("--attempt <ordinal>", "only this attempt's", countUpTo(ATTEMPT_MAX))
    .option("--task <path>", "only lines of this task run and of those that it called")
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
