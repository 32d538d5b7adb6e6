import { basename } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { deploymentNameOf } from "@towpath/contract";
import type { DeployReport } from "towpath/deploy";
import { z } from "zod";
import { commandToRun } from "../deployments/find.ts";
import { matchesPattern } from "../deployments/project-files.ts";
import { signInLink } from "../identity/sign-in.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { openRedeployer, type Redeploy } from "./redeploy.ts";
import { openReruns, type Reruns } from "./reruns.ts";
import { type DevCommand, nameIn, type Stack } from "./stack.ts";
import { watchSources } from "./watch.ts";

async function printWhere(
  invocation: Invocation,
  args: { stack: Stack; command: DevCommand; runId: string | null },
): Promise<void> {
  const { output, config } = invocation;
  const { style } = output;
  const { project, client, url } = args.stack;
  const page = args.runId === null ? "/" : `/runs/${args.runId}`;
  const { link } = await signInLink(client, { to: page, url, dashboards: config.dashboards });
  const [first] = project.deployments;
  const name = first === undefined ? "NAME" : deploymentNameOf(first.settings);
  output.line();
  output.line(`${style.bold("Look")}  ${style.cyan(link)}`);
  output.line(style.dim("      This link works once, within ten minutes."));
  const commands = [
    ...(args.stack.isDeployed ? [style.typed(await commandToRun(client, name))] : []),
    ...(args.runId === null ? [] : [style.typed(`towpath runs show ${args.runId}`)]),
    `${style.typed("towpath open")}  ${style.dim("prints a new link")}`,
    style.typed("towpath doctor"),
  ];
  for (const [index, typed] of commands.entries())
    output.line(`${index === 0 ? style.bold("Type") : "    "}  ${typed}`);
  output.line();
  if (!args.stack.isDeployed)
    output.line(
      `${style.yellow("!")} The deploy was refused. Correct the fault above. The next save deploys again.`,
    );
  const { run: deployment, rerun } = args.command;
  const then = deployment !== undefined && rerun ? `; each save runs ${deployment} again` : "";
  output.line(style.dim(`Watching ${basename(project.root)} for changes${then}. Ctrl-C stops everything.`));
}

function redeployLines(invocation: Invocation, outcome: Redeploy, paths: readonly string[]): string[] {
  const { style } = invocation.output;
  const what = `${paths[0] ?? ""}${paths.length > 1 ? ` and ${paths.length - 1} more` : ""} changed`;
  if (!outcome.ok) return [`${style.red("✗")} ${what}; the deploy failed`, ...faultLines(outcome.text)];
  const { outcomes } = outcome.report;
  const fresh = outcomes.filter(isFresh);
  if (fresh.length === 0) return [style.dim(`${what}; nothing to deploy`)];
  return [`${style.green("✓")} ${what}; deployed ${namesOf({ ...outcome.report, outcomes: fresh })}`];
}

function isFresh({ status }: DeployReport["outcomes"][number]): boolean {
  return status === "registered";
}

function freshNames({ outcomes }: DeployReport): string[] {
  return outcomes.filter(isFresh).map(({ deployment }) => deployment);
}

function namesOf(report: DeployReport): string {
  return report.outcomes.map(({ deployment, version }) => `${deployment} v${version}`).join(", ");
}

/** At most this many lines of a failed deploy are shown. */
const FAULT_LINES_MAX = 12;

const Told = z.object({ error: z.object({ message: z.string(), next: z.array(z.string()) }) });

/** The failure of a deploy in its own process: from its JSON, else its last lines. */
function faultLines(text: string): string[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const told = lines.flatMap((line) => {
    const { success, data } = Told.safeParse(line.startsWith("{") ? JSON.parse(line) : null);
    return success ? [data.error.message, ...data.error.next] : [];
  });
  return (told.length > 0 ? told : lines).slice(0, FAULT_LINES_MAX).map((line) => `  ${line}`);
}

/**
 * A run may write a data file of the project. A deploy of each such change would start that run again, without end. So a
 * change of a data file during a run does not count, and the first change of each file says so.
 */
function skipDataOfRuns(
  { output }: Invocation,
  { stack, reruns }: { stack: Stack; reruns: Reruns },
): (path: string) => boolean {
  const said = new Set<string>();
  const { files } = stack.project;
  return (path) => {
    if (!reruns.mayWrite()) return false;
    // Without patterns when we started, the configuration has changed since.
    const isDeployed = files?.some((pattern) => matchesPattern(path, pattern)) ?? true;
    if (isDeployed && !said.has(path))
      output.line(
        output.style.dim(
          `${path} changed during a run, so it was not deployed. Save a source file to deploy it.`,
        ),
      );
    said.add(path);
    return true;
  };
}

/** How long after a run's start the next deploy is prepared, milliseconds. */
const AHEAD_AFTER_MS = 1_500;

/**
 * Goes on until it is interrupted or one of our programs ends: starts the run of `--run`, and deploys and reruns after each
 * save. A save during the first run counts, too, because it may fix that run.
 */
export async function keepUp(
  invocation: Invocation,
  args: { stack: Stack; command: DevCommand; signal: AbortSignal },
): Promise<void> {
  const { output } = invocation;
  const { stack, command } = args;
  const run = command.run === undefined ? undefined : nameIn(stack, command.run);
  const over = new AbortController();
  const signal = AbortSignal.any([args.signal, over.signal]);
  const redeployer = openRedeployer(invocation, {
    root: stack.project.root,
    state: stack.folder.root,
    stage: stack.project.stage?.name,
    connection: stack,
  });
  signal.addEventListener("abort", () => redeployer.close(), { once: true });
  const reruns = openReruns(invocation, { stack, given: command.given, signal: args.signal });
  // Preparing the next deploy at once would slow the run that the user waits for.
  const prepareBeside = (followed: Promise<void>) => {
    const ended = followed.catch(() => undefined);
    void Promise.race([ended, pause(AHEAD_AFTER_MS, undefined, { ref: false })]).then(redeployer.prepare);
  };
  // Print the first run's end before the next run starts.
  const told = Promise.withResolvers<void>();
  // A refused first deploy owes the run of `--run` to the first deploy that succeeds.
  let isOwed = !stack.isDeployed && command.run !== undefined;
  const onChange = async (paths: readonly string[]) => {
    const outcome = await redeployer.deploy();
    if (signal.aborted) return;
    const isChanged = outcome.ok && command.rerun && freshNames(outcome.report).includes(run ?? "");
    const isRun = isChanged || (outcome.ok && isOwed);
    isOwed &&= !outcome.ok;
    if (isRun) {
      await reruns.stop();
      await told.promise;
    }
    for (const line of redeployLines(invocation, outcome, paths)) output.line(line);
    prepareBeside(isRun && run !== undefined ? reruns.begin(run) : Promise.resolve());
  };
  try {
    const takesData = stack.project.files !== undefined;
    const skipsData = skipDataOfRuns(invocation, { stack, reruns });
    await watchSources(stack.project.root, { signal, onChange, takesData, skipsData });
    const first = run === undefined || isOwed ? Promise.resolve() : reruns.first(run);
    prepareBeside(first);
    await first;
    await printWhere(invocation, { stack, command, runId: reruns.latest() });
    told.resolve();
    await untilOver(args);
  } finally {
    over.abort();
  }
}

/** @returns When interrupted. @throws Failure if one of our programs ends before. */
function untilOver(args: { stack: Stack; signal: AbortSignal }): Promise<void> {
  const interrupted = new Promise<void>((resolve) => {
    if (args.signal.aborted) resolve();
    args.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  return args.stack.children.reduce((promise, child) => child.whileAlive(promise), interrupted);
}
