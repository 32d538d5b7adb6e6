import { type Carry, countUpTo, gather, parameterOption, type Root, wholeNumber } from "../program.ts";
import { runAttempt } from "./attempt.ts";
import { chaos } from "./commands.ts";

const RUNS_MAX = 1_000;
const KILLS_MAX = 100;

/** Declares `chaos`. */
export function declareChaos(root: Root, carry: Carry): void {
  root
    .command("chaos")
    .summary("test how a flow survives kills")
    .description(
      "Runs a flow of this project on this machine, without a server. Kills its process (SIGKILL) around completed tasks and resumes it. Compares results and executions with a run without kills. The exit code is 1 if there is a fault.",
    )
    .argument("<flow>", "a deployment of a flow in towpath.config.ts")
    .addOption(parameterOption())
    .option(
      "--answer <name=value>",
      "answer a wait of the flow: a question's title or an event's name (and key), =, then JSON or text; may be repeated",
      gather,
    )
    .option("--runs <count>", "run the flow this often with kills", countUpTo(RUNS_MAX), 5)
    .option("--kills <count>", "kill each run at most this often", countUpTo(KILLS_MAX), 3)
    .option("--seed <number>", "choose the moments; the same seed gives the same moments", wholeNumber)
    .option("--project <dir>", "use the project in this folder")
    .action((flow, { param: given, answer: answers = [], ...options }, command) =>
      carry(command, (invocation) =>
        chaos(invocation, { flow, given, answers, ...options, seed: options.seed, project: options.project }),
      ),
    );
  root
    .command("chaos-attempt", { hidden: true })
    .argument("<file>")
    .action((file, _options, command) => carry(command, () => runAttempt(file)));
}
