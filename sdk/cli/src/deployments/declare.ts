import { Option } from "@commander-js/extra-typings";
import type { Carry, Root } from "../program.ts";
import { deploy } from "./commands.ts";
import { init } from "./init.ts";

/** Declares `init` and `deploy`. */
export function declareDeployments(root: Root, carry: Carry): void {
  root
    .command("init")
    .summary("make a small project")
    .description(
      "Makes a small project: a flow, its configuration, types, and what git should ignore. Overwrites nothing; adds to a package.json that is there.",
    )
    .argument("[dir]", "folder of the project", ".")
    .action((dir, _, command) => carry(command, (invocation) => init(invocation, dir)));
  root
    .command("deploy")
    .summary("push code and register signed versions")
    .description(
      "Bundles the project's flows, pushes the code to your registry, then signs and registers a new version of each deployment that changed. The control plane receives the signed specs and nothing else.",
    )
    .argument("[name...]", "deployments to register (all of the project's, if none is named)")
    .option("--project <dir>", "folder with towpath.config.ts", ".")
    .option(
      "--stage <name>",
      "deploy for one of the project's stages, with its pool, variables and resources",
    )
    .option("--plan", "only say what would change")
    .addOption(new Option("--when-told", "begin at the first line of standard input").hideHelp())
    .addHelpText("after", "\nExamples:\n  $ towpath deploy\n  $ towpath deploy flights --plan")
    .action((names, options, command) =>
      carry(command, (invocation) =>
        deploy(invocation, {
          names,
          project: options.project,
          stage: options.stage,
          plan: options.plan === true,
          whenTold: options.whenTold === true,
        }),
      ),
    );
}
