import { resolve } from "node:path";
import { DEV_STAGE } from "@towpath/contract";
import { onParentGone } from "@towpath/contract/process";
import { projectConfig } from "../deployments/load-project.ts";
import { EXIT, Failure } from "../failure.ts";
import { onNpxGone } from "../kernel/foreground.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { STATE_FOLDER_NAME, stateFolder } from "../kernel/state-folder.ts";
import { type Carry, parameterOption, portNumber, type Root } from "../program.ts";
import type { Child } from "./children.ts";
import { takeOver } from "./earlier.ts";
import { keepUp } from "./keep-up.ts";
import { runOnce } from "./reruns.ts";
import { type DevCommand, nameIn, type Start, startStack } from "./stack.ts";
import { closeInOrder, untilInterrupted } from "./stopping.ts";

async function live(invocation: Invocation, start: Start): Promise<number> {
  const { command, signal } = start;
  const stack = await startStack(invocation, start);
  const { run: deployment, given } = command;
  if (!command.once) {
    await keepUp(invocation, { stack, command, signal });
    return EXIT.ok;
  }
  if (deployment === undefined) return EXIT.ok;
  return await runOnce(invocation, { stack, deployment: nameIn(stack, deployment), given, signal });
}

/**
 * `towpath dev`: starts control plane, worker and store on this machine, deploys the project, and deploys it again after
 * each save. Ends with Ctrl-C, or with `--once` after the run.
 * @returns The exit code.
 */
export async function dev(invocation: Invocation, command: DevCommand): Promise<number> {
  const { output, globals, cwd } = invocation;
  if (globals.profile !== undefined || globals.url !== undefined || globals.key !== undefined)
    throw new Failure("`towpath dev` always uses its own control plane on this machine.", {
      exit: "usage",
      next: ["leave out --profile, --url and --key; `towpath deploy` deploys to another control plane"],
    });
  // Before anything is started or written, in case this is the wrong folder.
  await projectConfig(resolve(cwd, command.project ?? "."));
  const folder = stateFolder(resolve(cwd, globals.state ?? STATE_FOLDER_NAME));
  const left = await takeOver(folder);
  if (left.length > 0)
    output.note(
      `${output.style.yellow("!")} an earlier \`towpath dev\` was killed; stopped its ${left.join(" and ")}`,
    );
  const interruption = untilInterrupted();
  const endSelf = () => interruption.signal.aborted || process.kill(process.pid, "SIGTERM");
  onParentGone(endSelf);
  onNpxGone(invocation.config.environment, endSelf);
  const children: Child[] = [];
  const { signal } = interruption;
  try {
    return await live(invocation, { command, folder, signal, children });
  } catch (failure) {
    if (!signal.aborted) throw failure;
    return EXIT.interrupted;
  } finally {
    await closeInOrder(invocation, { children, folder, interruption });
  }
}

/** Declares `dev`. */
export function declareDev(root: Root, carry: Carry): void {
  root
    .command("dev")
    .summary("start control plane, worker and store on this machine")
    .description(
      "Starts a control plane with its database and one worker on this machine, and deploys your project. Deploys again after each save. With --run it also starts a new run after each save and cancels the unfinished one. State is kept in .towpath/. Ctrl-C stops everything.",
    )
    .option("--project <dir>", "use the project in this folder", ".")
    .option("--stage <name>", "deploy for this stage of the project", DEV_STAGE)
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
