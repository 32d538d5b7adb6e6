import type { Carry, Root } from "../program.ts";
import { wholeNumber } from "../program.ts";
import { seedDemo } from "./seed.ts";

/** Declares `demo`. */
export function declareDemo(root: Root, carry: Carry): void {
  root
    .command("demo")
    .summary("fill a workspace with demo data")
    .description("Fills a workspace with generated demo data.")
    .command("seed")
    .description(
      "Fills the workspace of the control plane on this machine with twelve weeks of generated history: 14 deployments with schedules and 100,000 runs, in all states. One run has 10,000 tasks, and one has 1,000,000 log lines. The command writes to the database directly, so it needs the control plane's state folder and a key that may start runs. It asks before it fills a workspace that is not empty. It takes some minutes.",
    )
    .option(
      "--seed <number>",
      "choose the random data; the same number gives the same history",
      wholeNumber,
      1,
    )
    .option("--small", "create only twelve days of history, in seconds")
    .option(
      "--stay",
      "then simulate the demo's workers until Ctrl-C: they run new runs and stop cancelled ones",
    )
    .option("-y, --yes", "fill a workspace that is not empty without asking")
    .addHelpText("after", "\nExamples:\n  $ towpath demo seed\n  $ towpath demo seed --small --seed 7")
    .action(({ seed, small, stay, yes }, command) =>
      carry(command, (invocation) =>
        seedDemo(invocation, { seed, small: small === true, stay: stay === true, yes: yes === true }),
      ),
    );
}
