import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { DeployOutcome, DeployReport, PushedCode } from "towpath/deploy";
import { Failure } from "../failure.ts";
import { readSigningKey, type SigningKey } from "../identity/signing-key.ts";
import { trustedIn } from "../identity/trust-file.ts";
import type { Connection } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import type { StateFolder } from "../kernel/state-folder.ts";
import type { Output } from "../output.ts";
import { warmBundler } from "./bundle.ts";
import { bundleText, checkGrowth, noteSize } from "./bundle-size.ts";
import { chosen, type DeployRequest, deployProject, ledgerState } from "./deploy.ts";
import { DAY_MS, validMsOf } from "./expiry.ts";
import { commandToRun } from "./find.ts";
import { FLOOR_LAG } from "./floor.ts";
import { headText, type LedgerUse, ledgerFile } from "./ledger.ts";
import { loadProject } from "./load-project.ts";
import { warmOwnPackages } from "./own-packages.ts";
import { findConfig } from "./python/config-file.ts";
import { describeAhead } from "./python/describe-ahead.ts";
import { type Renewal, renew } from "./renew.ts";
import { keyringOf } from "./seal-spec.ts";
import { shortDigest } from "./short-digest.ts";
import { askStage, type StageChoice } from "./stage.ts";

/** The arguments of `towpath deploy`. */
export interface DeployCommand {
  readonly names: readonly string[];
  readonly project: string | undefined;
  readonly stage: StageChoice;
  readonly plan: boolean;
  /** Deploys code that has grown suddenly. */
  readonly yes: boolean;
  /** Whether Python flows may be imported. */
  readonly imports: boolean;
  readonly acceptGap: boolean;
  readonly newWorkspace: boolean;
  /** Signs again what expires within this many days, and deploys nothing. */
  readonly renew: number | undefined;
  /** Whether to wait for the first line of standard input, for a parent that starts us ahead. */
  readonly whenTold: boolean;
}

/** Loads modules ahead and waits for the start signal. @throws Failure if the parent is gone. */
async function untilTold(root: string): Promise<void> {
  const found = await findConfig(root).catch(() => null);
  if (found !== null && found.kind !== "typescript") describeAhead(root);
  void Promise.allSettled([warmOwnPackages(root), warmBundler()]);
  for await (const chunk of process.stdin) if (String(chunk).includes("\n")) return;
  throw new Failure("The parent process ended before it gave the start signal.", { exit: "interrupted" });
}

/** The signing key: from the file in the environment, else from the state folder. @throws Failure if there is none. */
export async function signingKeyInUse(invocation: Invocation, folder: StateFolder): Promise<SigningKey> {
  const path = invocation.config.signingKeyFile ?? folder.signingKeyFile;
  const key = await readSigningKey(path);
  // A state folder may come with a cloned repository, and must not choose a program to run.
  if (key !== null && "command" in key && invocation.config.signingKeyFile === undefined)
    throw new Failure(`${path} names a signing command, which only a file of your own may do.`, {
      exit: "configuration",
      code: "signing-command-in-folder",
      next: ["move the file out of the state folder and name it with TOWPATH_SIGNING_KEY_FILE"],
    });
  if (key !== null) return key;
  throw new Failure(`There is no signing key at ${path}.`, {
    exit: "configuration",
    code: "no-signing-key",
    next: [
      "create one with `towpath key signing create`, and give its public half to your workers",
      "or use an existing one with TOWPATH_SIGNING_KEY_FILE",
    ],
  });
}

/**
 * The workspace to sign for. If the profile in use names its workspace, the control plane cannot name another one.
 * @throws Failure `other-workspace`.
 */
export async function workspaceToSign({ client, profile, workspaceId, url }: Connection): Promise<string> {
  const { workspace } = await client.getMe();
  if (workspaceId === undefined || workspaceId === workspace.id) return workspace.id;
  throw new Failure(
    `The profile "${profile}" is for the workspace ${workspaceId}, and ${url} says that its key is for ${workspace.id}.`,
    {
      exit: "invalidInput",
      code: "other-workspace",
      next: [
        "nothing was signed: `towpath whoami` shows the address and the key in use",
        `if the profile should have this workspace: \`towpath profiles rm ${profile}\`, then \`towpath login\``,
      ],
    },
  );
}

/** The ledger of a project. Null for a control plane of `towpath dev`: its versions end with its state folder. */
export function ledgerFor(
  { isLocal }: Connection,
  args: { root: string } & Pick<LedgerUse, "acceptGap" | "newWorkspace">,
): LedgerUse | null {
  const { root, acceptGap, newWorkspace } = args;
  return isLocal ? null : { file: ledgerFile(root), acceptGap, newWorkspace };
}

function changeText({ status, version, changed, wasRemoved }: DeployOutcome): string {
  if (status === "unchanged") return "";
  if (changed !== null) return changed.join(", ");
  if (wasRemoved) return "new after its removal";
  return version === 1 ? "new" : "signed with another key";
}

function outcomeRow(outcome: DeployOutcome, output: Output): string[] {
  const { style } = output;
  const what = {
    registered: style.green("registered"),
    unchanged: style.dim("unchanged"),
    planned: style.yellow("would register"),
  }[outcome.status];
  return [
    outcome.deployment,
    String(outcome.version),
    what,
    shortDigest(outcome.digest),
    outcome.keyId.slice(0, 12),
    changeText(outcome),
  ];
}

/** One line about the push: `pushed sha256:0123456789ab to code (https://registry.internal/data/flows)`. */
function pushedText({ registry, address, digest, version, isNew }: PushedCode): string {
  const place = `${registry} (${address})`;
  const [algorithm = ""] = /^sha(256|512):/.exec(digest) ?? [];
  const code = version ?? `${algorithm}${shortDigest(digest)}`;
  return isNew ? `pushed ${code} to ${place}` : `${place} has ${code} already`;
}

/** Prints a deploy's results: a table, or the whole report as JSON. */
export function printDeploy(output: Output, report: DeployReport): void {
  output.data(report);
  if (report.code.files > 0) output.note(output.style.dim(bundleText(report.code)));
  if (report.pushed !== null) output.note(output.style.dim(pushedText(report.pushed)));
  for (const warning of report.warnings) output.note(`${output.style.yellow("!")} ${warning}`);
  printOutcomes(output, report.outcomes);
}

function printOutcomes(output: Output, outcomes: readonly DeployOutcome[]): void {
  output.table(
    ["DEPLOYMENT", "VERSION", "STATUS", "DIGEST", "SIGNED BY", "CHANGED"],
    outcomes.map((outcome) => outcomeRow(outcome, output)),
  );
}

/** `towpath deploy --renew` */
async function renewAll(
  invocation: Invocation,
  args: Pick<DeployRequest, "project" | "names" | "client" | "key" | "plan" | "ledger"> &
    Pick<Renewal, "workspaceId" | "withinMs" | "earlierKeys">,
): Promise<void> {
  const { output, clock } = invocation;
  const { project, names, ledger, plan } = args;
  const renewal: Renewal = {
    ...args,
    keyring: await keyringOf((await invocation.connect()).workspaceKeys),
    notes: [],
    floorLag: project.floorLag ?? FLOOR_LAG,
    validMs: ledger === null ? null : validMsOf(project),
    nowMs: () => clock.nowMs(),
  };
  const outcomes: DeployOutcome[] = [];
  for (const one of chosen(project, names)) outcomes.push(await renew(renewal, one));
  const state = ledger === null ? null : await ledgerState(ledger);
  output.data({ outcomes, warnings: renewal.notes, ledger: state });
  for (const note of renewal.notes) output.note(`${output.style.yellow("!")} ${note}`);
  printOutcomes(output, outcomes);
  if (outcomes.every(({ status }) => status === "unchanged")) output.line("Nothing expires soon.");
  else if (plan) output.next("`towpath deploy --renew` signs these versions again");
  printLedger(output, { report: { ledger: state, outcomes }, isNew: false });
}

/** Prints the ledger's head, which the deployer can compare and must commit. */
function printLedger(
  output: Output,
  { report, isNew }: { report: Pick<DeployReport, "ledger" | "outcomes">; isNew: boolean },
): void {
  const { ledger, outcomes } = report;
  if (ledger === null || !outcomes.some(({ status }) => status === "registered")) return;
  output.note(output.style.dim(`ledger: ${basename(ledger.file)}, head ${headText(ledger.heads)}`));
  output.next(
    isNew
      ? `commit ${basename(ledger.file)}: it records what you sign, so that nobody else chooses the numbers`
      : `commit ${basename(ledger.file)}`,
  );
}

/** `towpath deploy [NAME…]` */
export async function deploy(invocation: Invocation, command: DeployCommand): Promise<void> {
  const root = resolve(invocation.cwd, command.project ?? ".");
  if (command.whenTold) await untilTold(root);
  const folder = await invocation.folder(root);
  const chooseStage = (stages: readonly string[]) => askStage(invocation, { stages, choice: command.stage });
  const project = await loadProject(root, { folder, stage: chooseStage, imports: command.imports });
  const key = await signingKeyInUse(invocation, folder);
  const connection = await invocation.connect(root);
  const { client, workspaceKeys } = connection;
  await invocation.announce(root);
  const workspaceId = await workspaceToSign(connection);
  const isNew = !existsSync(ledgerFile(root));
  const { names, plan } = command;
  const ledger = command.whenTold ? null : ledgerFor(connection, { root: project.root, ...command });
  if (command.renew !== undefined) {
    const withinMs = command.renew * DAY_MS;
    const trusted = await trustedIn(folder.trustFile);
    const earlierKeys = trusted.filter(({ revokedAt }) => revokedAt === undefined);
    const ground = { workspaceId, withinMs, earlierKeys };
    return await renewAll(invocation, { project, names, client, key, plan, ledger, ...ground });
  }
  const stage = project.stage === null ? [] : ["--stage", project.stage.name];
  const report = await deployProject(invocation, {
    project,
    names,
    client,
    key,
    workspaceKeys,
    plan,
    // Only `dev` starts a deploy ahead.
    byReach: command.whenTold,
    ledger,
    beforePush: async (size) => {
      if (!command.yes) await checkGrowth(folder, { project: project.name, size });
    },
  });
  if (!plan && existsSync(folder.root)) await noteSize(folder, { project: project.name, size: report.code });
  printDeploy(invocation.output, report);
  printLedger(invocation.output, { report, isNew });
  const [first] = report.outcomes;
  if (plan && report.outcomes.every(({ status }) => status === "unchanged"))
    invocation.output.line("Nothing would change.");
  else if (plan)
    invocation.output.next(`\`${["towpath deploy", ...names, ...stage].join(" ")}\` applies this plan`);
  else if (first && !invocation.output.json)
    invocation.output.next(`\`${await commandToRun(client, first.deployment)}\` starts a run`);
}
