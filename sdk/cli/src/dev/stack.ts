import { resolve } from "node:path";
import type { Client } from "@towpath/client";
import { deploymentNameOf } from "@towpath/contract";
import type { DeployReport } from "towpath/deploy";
import { deployProject } from "../deployments/deploy.ts";
import { loadProject } from "../deployments/load-project.ts";
import type { Project } from "../deployments/project.ts";
import { Failure, failureLines, toFailure } from "../failure.ts";
import { createSigningKey, readSigningKey, type SigningKey } from "../identity/signing-key.ts";
import { environmentKeys } from "../kernel/connection.ts";
import { formatDuration } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import type { StateFolder } from "../kernel/state-folder.ts";
import { openScreen } from "../runs/screen.ts";
import type { Child } from "./children.ts";
import { connectControl, startControl } from "./control.ts";
import { recordProcesses } from "./earlier.ts";
import { choosePort, DEFAULT_PORT, portTaken } from "./port.ts";
import { awaitWorker, startLocalWorker } from "./worker.ts";

const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 120;

/**
 * Runs one step of the start: shows a spinner, then a line with the duration.
 * @param describe Describes the result.
 * @param durationMs The duration of work that began earlier.
 */
export async function step<T>(
  invocation: Invocation,
  args: {
    doing: string;
    done: string;
    describe?: (result: T) => string;
    durationMs?: (result: T) => number;
  },
  work: Promise<T>,
): Promise<T> {
  const { output, clock } = invocation;
  const { style } = output;
  const began = clock.nowMs();
  const screen = output.live ? openScreen(output) : null;
  let frame = 0;
  const draw = () => screen?.foot([`${style.cyan(SPINNER[frame++ % SPINNER.length] ?? "")} ${args.doing}`]);
  draw();
  const timer = setInterval(draw, FRAME_MS);
  try {
    const result = await work;
    screen?.close();
    const took = style.dim(formatDuration(args.durationMs?.(result) ?? clock.nowMs() - began));
    const more = args.describe === undefined ? "" : `  ${args.describe(result)}`;
    output.line(`${style.green("✓")} ${args.done.padEnd(14)}${more}  ${took}`);
    return result;
  } finally {
    clearInterval(timer);
    screen?.close();
  }
}

/** The arguments of `towpath dev`. */
export interface DevCommand {
  readonly project: string | undefined;
  readonly stage: string;
  readonly run: string | undefined;
  readonly given: readonly string[];
  readonly once: boolean;
  readonly rerun: boolean;
  readonly port: number | undefined;
}

/** The running stack with the deployed project. */
export interface Stack {
  readonly folder: StateFolder;
  readonly project: Project;
  readonly client: Client;
  readonly url: string;
  /** The admin key. */
  readonly key: string;
  readonly children: readonly Child[];
  /** Whether the first deploy succeeded. If not, its failure has been printed. */
  readonly isDeployed: boolean;
}

/** The name of a deployment of the project, with the stage that `towpath dev` deploys for. */
export function nameIn({ project }: Pick<Stack, "project">, deployment: string): string {
  if (deployment.includes("@")) return deployment;
  return deploymentNameOf({ deployment, stage: project.stage?.name });
}

/** A start in progress. */
export interface Start {
  readonly command: DevCommand;
  readonly folder: StateFolder;
  readonly signal: AbortSignal;
  /** Filled as processes start, so that a failure stops them all. */
  readonly children: Child[];
}

async function ensureSigningKey(folder: StateFolder): Promise<SigningKey> {
  return (await readSigningKey(folder.signingKeyFile)) ?? createSigningKey(folder);
}

function sumUp(report: DeployReport): string {
  const names = report.outcomes.map(({ deployment, version }) => `${deployment} v${version}`).join(", ");
  const unchanged = report.outcomes.every(({ status }) => status === "unchanged");
  return unchanged ? `${names} (unchanged)` : names;
}

/** Starts one process and records it at once. */
async function launch(start: Start, starting: Promise<Child>): Promise<Child> {
  const child = await starting;
  start.children.push(child);
  await recordProcesses(start.folder, start.children);
  return child;
}

/**
 * Starts the control plane on the requested port, else on the first free one. If another program takes the port after our
 * check, the next one is tried.
 */
async function startOnFreePort(invocation: Invocation, start: Start) {
  const { command, folder, signal, children } = start;
  const { output } = invocation;
  let taken: number | undefined;
  for (;;) {
    const port = await choosePort(command.port, taken);
    if (command.port === undefined && port !== DEFAULT_PORT)
      output.note(`${output.style.yellow("!")} port ${DEFAULT_PORT} is in use; using ${port} instead`);
    const control = await launch(start, startControl(invocation, { folder, port }));
    try {
      const workspaceKeys = environmentKeys(invocation.config);
      return await connectControl(control, { folder, signal, workspaceKeys });
    } catch (failure) {
      if (!(failure instanceof Failure) || failure.code !== "port-taken") throw failure;
      if (command.port !== undefined) throw portTaken(port, failure);
      taken = port;
      children.splice(children.indexOf(control), 1);
    }
  }
}

/**
 * The first deploy. A refused one is printed and `dev` goes on, because its next step may need the control plane, such as
 * `towpath limit set`.
 * @returns Whether it succeeded.
 * @throws Failure if it was refused and no save will be deployed, because of `--once`.
 */
async function deployFirst(
  invocation: Invocation,
  args: Start & { client: Client; project: Project; key: SigningKey; online: Promise<unknown> },
): Promise<boolean> {
  const { output } = invocation;
  const { command, signal, client, project, key, online } = args;
  // A worker that does not start is reported by its own step.
  const workersStarted = online.then(
    () => undefined,
    () => undefined,
  );
  const request = {
    project,
    names: [],
    client,
    key,
    plan: false,
    byReach: true,
    ledger: null,
    workersStarted,
    workspaceKeys: environmentKeys(invocation.config),
  };
  const deploying = deployProject(invocation, request);
  try {
    const report = await step(
      invocation,
      { doing: "deploying", done: "deployed", describe: sumUp },
      deploying,
    );
    for (const warning of report.warnings) output.note(`${output.style.yellow("!")} ${warning}`);
    return true;
  } catch (failure) {
    if (command.once || signal.aborted) throw failure;
    for (const line of failureLines(toFailure(failure), output.style)) output.note(line);
    return false;
  }
}

/** Starts control plane and worker, and deploys the project. @throws Failure that says which step failed. */
export async function startStack(invocation: Invocation, start: Start): Promise<Stack> {
  const { folder, signal, command, children } = start;
  const loading = loadProject(resolve(invocation.cwd, command.project ?? "."), {
    folder,
    stage: command.stage,
  });
  // The project loads while the control plane starts. Its failure is handled when both are awaited.
  loading.catch(() => undefined);
  const signingKey = await ensureSigningKey(folder);
  const [{ url, key, client }, project] = await step(
    invocation,
    { doing: "starting the control plane", done: "control plane", describe: ([one]) => one.url },
    Promise.all([startOnFreePort(invocation, start), loading]),
  );
  const sinceMs = Date.parse((await client.getMe({}, { signal })).server.now);
  const { clock } = invocation;
  const launchedMs = clock.nowMs();
  const worker = await launch(start, startLocalWorker(invocation, { folder, client, url, project }));
  // The worker starts during the deploy.
  const online = awaitWorker(worker, { client, sinceMs, signal }).then(() => clock.nowMs() - launchedMs);
  online.catch(() => undefined);
  const isDeployed = await deployFirst(invocation, { ...start, client, project, key: signingKey, online });
  await step(
    invocation,
    {
      doing: "starting the worker",
      done: "worker",
      describe: () => "pool local",
      durationMs: (tookMs) => tookMs,
    },
    online,
  );
  return { folder, project, client, url, key, children, isDeployed };
}
