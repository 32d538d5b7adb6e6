import { type Carry, countUpTo, gather, parameterOption, type Root, wholeNumber } from "../program.ts";
import { runAttempt } from "./attempt.ts";
import { chaos } from "./commands.ts";

const RUNS_MAX = 1_000;
const KILLS_MAX = 100;

/** Declares `chaos`. */
export function declareChaos(root: Root, carry: Carry): void {
  root
    .command("chaos")
    .summary("kill a flow at chosen moments, and see what runs again")
    .description(
      "Runs a flow of this project on this machine, without a server: kills its process (SIGKILL) around completed tasks, goes on from what was kept, and compares results and executions with a run that was left alone. Exit code 1 when they tell of a fault.",
    )
    .argument("<flow>", "a deployment of a flow in towpath.config.ts")
    .addOption(parameterOption())
    .option(
      "--answer <name=value>",
      "what comes when the flow waits: a question's title or an event's name (and its key), =, and JSON or text; once for each",
      gather,
    )
    .option("--runs <count>", "how many runs are disturbed", countUpTo(RUNS_MAX), 5)
    .option("--kills <count>", "how often each of them is killed at most", countUpTo(KILLS_MAX), 3)
    .option("--seed <number>", "chooses the moments; the same seed, the same moments", wholeNumber)
    .option("--project <dir>", "the project's folder")
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
