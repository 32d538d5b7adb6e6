import { Option } from "@commander-js/extra-typings";
import type { Carry, Root } from "../program.ts";
import { deploy } from "./commands.ts";
import { init } from "./init.ts";
import { stageChoice } from "./stage.ts";

/** Declares `init` and `deploy`. */
export function declareDeployments(root: Root, carry: Carry): void {
  root
    .command("init")
    .summary("create a small project")
    .description(
      "Creates a small project: a flow, its configuration, types and a .gitignore. Overwrites nothing. Adds what is missing to an existing package.json.",
    )
    .argument("[dir]", "the project's folder", ".")
    .action((dir, _, command) => carry(command, (invocation) => init(invocation, dir)));
  root
    .command("deploy")
    .summary("push code and register new versions")
    .description(
      "Bundles the project's flows, pushes the code to your registry, then signs and registers a new version of each deployment that changed. The control plane receives the signed specs and nothing else.",
    )
    .argument("[name...]", "register only these deployments (default: all of the project)")
    .option("--project <dir>", "use the project in this folder", ".")
    .option(
      "--stage <name>",
      "deploy for this stage of the project: it is part of the deployments' names, such as flights@prod",
    )
    .option("--no-stage", "deploy without a stage, although the project has stages")
    .option("--plan", "show what would change, and change nothing")
    .option("--yes", "deploy code that is ten times larger than at the last deploy")
    .addOption(new Option("--when-told", "start at the first line of standard input").hideHelp())
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath deploy\n  $ towpath deploy --stage prod\n  $ towpath deploy flights --stage prod --plan",
    )
    .action((names, options, command) =>
      carry(command, (invocation) =>
        deploy(invocation, {
          names,
          project: options.project,
          stage: stageChoice(options.stage),
          plan: options.plan === true,
          yes: options.yes === true,
          whenTold: options.whenTold === true,
        }),
      ),
    );
}
