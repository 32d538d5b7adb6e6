import type { Carry, Root } from "../program.ts";
import { wholeNumber } from "../program.ts";
import { seedDemo } from "./seed.ts";

/** Declares `demo`. */
export function declareDemo(root: Root, carry: Carry): void {
  root
    .command("demo")
    .summary("a workspace to look around in")
    .description("Fills a workspace with invented history, to look around in and to measure with.")
    .command("seed")
    .description(
      "Fills the workspace of the control plane on this machine with twelve weeks of invented history: 14 deployments with schedules, 100,000 runs, one of them with 10,000 tasks and one with 1,000,000 lines of log, and runs that go on, wait and sleep. It writes past the API, so it needs the control plane's state folder, and a key that may run things. A workspace that is not empty is only filled if you say so. It takes some minutes.",
    )
    .option("--seed <number>", "the same number makes the same history, up to now", wholeNumber, 1)
    .option("--small", "some of everything, in seconds: twelve days, for tests")
    .option("--stay", "then play its workers until Ctrl-C: they take what comes, and stop what is cancelled")
    .option("-y, --yes", "fill a workspace that is not empty, without asking")
    .addHelpText("after", "\nExamples:\n  $ towpath demo seed\n  $ towpath demo seed --small --seed 7")
    .action(({ seed, small, stay, yes }, command) =>
      carry(command, (invocation) =>
        seedDemo(invocation, { seed, small: small === true, stay: stay === true, yes: yes === true }),
      ),
    );
}
