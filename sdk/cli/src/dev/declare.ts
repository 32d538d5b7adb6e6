import { type Carry, parameterOption, portNumber, type Root } from "../program.ts";
import { dev } from "./dev.ts";

/** Declares `dev`. */
export function declareDev(root: Root, carry: Carry): void {
  root
    .command("dev")
    .summary("start control plane, worker and store on this machine")
    .description(
      "Starts a control plane with its database and one worker on this machine, and deploys your project. Deploys again after each save. With --run it also starts a new run after each save and cancels the unfinished one. State is kept in .towpath/. Ctrl-C stops everything.",
    )
    .option("--project <dir>", "use the project in this folder", ".")
    .option("--stage <name>", "deploy for this stage of the project")
    .option(
      "--run <name>",
      "start a run of this deployment, follow it, and run it again after a save that changes it",
    )
    .addOption(parameterOption())
    .option("--once", "stop after that run; the exit code is the run's outcome")
    .option("--no-rerun", "with --run: deploy after a save, but start no new run")
    .option("--port <n>", "set the control plane's port (default: 4200, or the next free one)", portNumber)
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath dev --run hello -p name=Ada\n  $ towpath dev --run hello --once",
    )
    .action((options, command) =>
      carry(command, (invocation) =>
        dev(invocation, {
          project: options.project,
          stage: options.stage,
          run: options.run,
          given: options.param,
          once: options.once === true,
          rerun: options.rerun,
          port: options.port,
        }),
      ),
    );
}
