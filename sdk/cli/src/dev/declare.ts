import { type Carry, parameterOption, portNumber, type Root } from "../program.ts";
import { dev } from "./dev.ts";

/** Declares `dev`. */
export function declareDev(root: Root, carry: Carry): void {
  root
    .command("dev")
    .summary("control plane, worker and store on this machine")
    .description(
      "Starts everything on this machine: control plane with its database, one worker, your project deployed, and deployed again whenever you save, and with --run run again too; a save during a run cancels that one. State is kept in .towpath/. Ctrl-C stops all of it in good order.",
    )
    .option("--project <dir>", "folder with towpath.config.ts", ".")
    .option("--stage <name>", "deploy for one of the project's stages")
    .option(
      "--run <name>",
      "start a run of this deployment, follow it, and run it again when a save changed it",
    )
    .addOption(parameterOption())
    .option("--once", "end after that run; exit code 0 only if it completed")
    .option("--no-rerun", "with --run: only deploy after a save")
    .option("--port <n>", "port of the control plane (else 4200, or the next free one)", portNumber)
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
