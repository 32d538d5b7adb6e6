import { Option } from "@commander-js/extra-typings";
import { type Carry, countUpTo, type Root } from "../program.ts";
import { switchSchedules } from "../schedules/commands.ts";
import { coSign } from "./co-sign.ts";
import { deploy } from "./commands.ts";
import { init, initPython } from "./init.ts";
import { diffVersions, listDeployments, showDeployment } from "./inspect.ts";
import { removeDeployment } from "./remove.ts";
import { rollBack } from "./rollback.ts";
import { stageChoice } from "./stage.ts";

/** The largest version number that a command accepts. */
const VERSION_MAX = 999_999_999;
const versionNumber = countUpTo(VERSION_MAX);
/** `deploy --renew` signs what expires within this many days. */
const RENEW_DAYS = 30;
const renewDays = countUpTo(36_500);

/** Declares `init`, `deploy` and `deployments`. */
export function declareDeployments(root: Root, carry: Carry): void {
  declareDeploy(root, carry);
  const group = deploymentsGroup(root);
  declareLooks(group, carry);
  declareRollback(group, carry);
  declareSign(group, carry);
  declareSwitches(group, carry);
  declareRemoval(group, carry);
}

function deploymentsGroup(root: Root) {
  return root
    .command("deployments")
    .summary("list deployments, compare versions, roll back, remove")
    .description(
      "Lists deployments, shows and compares their versions, rolls back, pauses all schedules of a deployment, and removes deployments.",
    );
}

type Group = ReturnType<typeof deploymentsGroup>;

const NAME_HELP = "the deployment, such as flights@prod; flights@ is the one without a stage";

function declareLooks(group: Group, carry: Carry): void {
  group
    .command("ls")
    .alias("list")
    .description("Lists deployments with their latest version, their last run and their paused schedules.")
    .option("--stage <name>", "list only deployments of this stage")
    .option("--cursor <cursor>", "continue a list")
    .action((options, command) => carry(command, (invocation) => listDeployments(invocation, options)));
  group
    .command("show")
    .description("Shows a deployment: its settings, versions, schedules and limits.")
    .argument("<deployment>", NAME_HELP)
    .action((name, _, command) => carry(command, (invocation) => showDeployment(invocation, name)));
  group
    .command("diff")
    .description(
      "Shows the fields in which two versions differ. With one version, compares it with the latest. With none, compares the latest with the one before it.",
    )
    .argument("<deployment>", NAME_HELP)
    .argument("[a]", "the earlier version", versionNumber)
    .argument("[b]", "the later version (default: the latest)", versionNumber)
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath deployments diff flights@prod\n  $ towpath deployments diff flights@prod 3 5",
    )
    .action((name, before, after, _, command) =>
      carry(command, (invocation) => diffVersions(invocation, { name, before, after })),
    );
}

function declareRollback(group: Group, carry: Carry): void {
  group
    .command("rollback")
    .summary("return to an earlier version")
    .description(
      "Registers the content of an earlier version as the next version, signed with your key. Verifies the signature of the earlier version first. Runs that exist keep their version. Without a terminal, it needs --yes.",
    )
    .argument("<deployment>", NAME_HELP)
    .argument("<version>", "the version to return to", versionNumber)
    .option("--yes", "do not ask first")
    .option("--project <dir>", "use the ledger of the project in this folder", ".")
    .option("--accept-gap", "go on above versions of the control plane that the ledger lacks")
    .addHelpText("after", "\nExample:\n  $ towpath deployments rollback flights@prod 3")
    .action((name, version, { yes, project, acceptGap }, command) =>
      carry(command, (invocation) =>
        rollBack(invocation, {
          name,
          version,
          project,
          yes: yes === true,
          acceptGap: acceptGap === true,
        }),
      ),
    );
}

function declareSign(group: Group, carry: Carry): void {
  group
    .command("sign")
    .summary("add a second person's signature to a version")
    .description(
      "Signs a version that another person deployed, after it has shown what the version runs. The signature becomes a line of the ledger. Workers whose configuration asks for two signatures read it there. Without a terminal, it needs --yes.",
    )
    .argument("<deployment>", NAME_HELP)
    .argument("<version>", "the version to sign", versionNumber)
    .option("--yes", "do not ask first")
    .option("--project <dir>", "use the ledger of the project in this folder", ".")
    .addHelpText("after", "\nExample:\n  $ towpath deployments sign churn@prod 7")
    .action((name, version, { yes, project }, command) =>
      carry(command, (invocation) => coSign(invocation, { name, version, project, yes: yes === true })),
    );
}

function declareSwitches(group: Group, carry: Carry): void {
  group
    .command("pause")
    .description("Pauses all schedules of a deployment. Other runs still start.")
    .argument("<deployment>", NAME_HELP)
    .action((name, _, command) =>
      carry(command, (invocation) => switchSchedules(invocation, name, "paused")),
    );
  group
    .command("resume")
    .description(
      "Resumes all schedules of a deployment, also those that were paused one by one. The times of the pause are recorded as skipped.",
    )
    .argument("<deployment>", NAME_HELP)
    .action((name, _, command) =>
      carry(command, (invocation) => switchSchedules(invocation, name, "resumed")),
    );
}

function declareRemoval(group: Group, carry: Carry): void {
  group
    .command("rm")
    .summary("remove a deployment")
    .description(
      "Removes a deployment with its schedules and its limit. Its runs stay until the end of their retention. Refused while a run or backfill of it is open. A later deploy continues the version numbers. Without a terminal, it needs --yes.",
    )
    .argument("<deployment>", NAME_HELP)
    .option("-y, --yes", "remove without a question")
    .action((name, { yes }, command) =>
      carry(command, (invocation) => removeDeployment(invocation, { name, yes: yes === true })),
    );
}

function declareDeploy(root: Root, carry: Carry): void {
  root
    .command("init")
    .summary("create a small project")
    .description(
      "Creates a small project: a flow, its configuration, types and a .gitignore. Overwrites nothing. Adds what is missing to an existing package.json.",
    )
    .argument("[dir]", "the project's folder", ".")
    .option("--python", "create a project in Python: a flow, its test, its configuration and pyproject.toml")
    .action((dir, { python }, command) =>
      carry(command, (invocation) => (python ? initPython : init)(invocation, dir)),
    );
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
    .option("--no-import", "read the declared parameters of Python flows, and import none of their modules")
    .option("--yes", "deploy code that is ten times larger than at the last deploy")
    .option("--accept-gap", "go on above versions of the control plane that the ledger lacks")
    .option(
      "--renew [days]",
      "deploy nothing: sign the latest versions again that expire within this many days (default: 30), for instance each night in CI",
      renewDays,
    )
    .option("--new-workspace", "sign for a workspace that the ledger does not know yet")
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
          imports: options.import,
          acceptGap: options.acceptGap === true,
          newWorkspace: options.newWorkspace === true,
          renew: options.renew === true ? RENEW_DAYS : options.renew,
          whenTold: options.whenTold === true,
        }),
      ),
    );
}
