import type { Client } from "@towpath/client";
import { DEV_STAGE, deploymentNameOf, needsOf } from "@towpath/contract";
import type { BundleSize, DeployOutcome, DeployReport } from "towpath/deploy";
import type { Clock } from "../clock.ts";
import type { CliConfig } from "../config.ts";
import { Failure, toFailure } from "../failure.ts";
import type { SigningKey } from "../identity/signing-key.ts";
import { findPool, misfits, type Wanting } from "../pools/find.ts";
import { bundleSize } from "./bundle-size.ts";
import { buildCode, type ProjectCode } from "./code.ts";
import { validMsOf } from "./expiry.ts";
import { FLOOR_LAG } from "./floor.ts";
import { type LedgerUse, readLedger } from "./ledger.ts";
import { type Project, type ProjectDeployment, wantingOf } from "./project.ts";
import { pinnedDigest, pushCode } from "./push-code.ts";
import { reachOf } from "./reach.ts";
import { checkTaskLimits, findLacks } from "./readiness.ts";
import { type Registration, register } from "./register.ts";
import { keyringOf } from "./seal-spec.ts";
import { codePin, remoteTasksOf, type SpecGround } from "./spec.ts";
import { unstagedWarnings } from "./unstaged.ts";

/** What a deploy needs. */
export interface DeployRequest {
  readonly project: Project;
  /** Deployments to register; empty: all. */
  readonly names: readonly string[];
  readonly client: Client;
  readonly key: SigningKey;
  /** Workspace keys: with one, what a spec says in values is sealed before it is signed. @default none */
  readonly workspaceKeys?: readonly string[];
  /** Only shows what would change: pushes and registers nothing. */
  readonly plan: boolean;
  /** Whether later deploys keep the version of a deployment if only code changes that it does not use. @default false */
  readonly byReach?: boolean;
  /** The deployer's ledger. Null: none is kept, for a control plane on this machine. */
  readonly ledger: LedgerUse | null;
  /** Resolves when the workers have been started, for a caller that starts them at the same time. @default at once */
  readonly workersStarted?: Promise<void>;
  /** Called with the size of the code before it is pushed. What it throws stops the deploy. */
  readonly beforePush?: (size: BundleSize) => Promise<void>;
}

/** The chosen deployments. @throws Failure for a name that the project does not have. */
export function chosen(project: Project, names: readonly string[]): readonly ProjectDeployment[] {
  const known = project.deployments.map(({ settings }) => settings.deployment);
  const isKnown = (name: string) =>
    project.deployments.some(({ settings }) =>
      [settings.deployment, deploymentNameOf(settings)].includes(name),
    );
  const unknown = names.find((name) => !isKnown(name));
  if (unknown !== undefined)
    throw new Failure(`The project has no deployment "${unknown}".`, {
      exit: "notFound",
      code: "deployment-not-found",
      next: [`deployments in ${project.configFile}: ${known.join(", ")}`],
    });
  return project.deployments.filter(
    ({ settings }) =>
      names.length === 0 || names.includes(settings.deployment) || names.includes(deploymentNameOf(settings)),
  );
}

/** Checks that the pools exist, before anything is pushed or registered. @throws Failure that names the missing pool. */
async function checkPools(
  client: Client,
  args: { deployments: readonly ProjectDeployment[] } & Pick<SpecGround, "remote" | "pools">,
): Promise<void> {
  const wanted = new Map(
    args.deployments.flatMap((one) => {
      const remote = Object.values(remoteTasksOf(one, args)).flatMap(({ pools }) => pools);
      return [...one.settings.pools, ...remote].map(
        (pool) => [pool, deploymentNameOf(one.settings)] as const,
      );
    }),
  );
  for (const [pool, deployment] of wanted) {
    await findPool(client, pool).catch((thrown: unknown) => {
      const failure = toFailure(thrown);
      if (failure.code !== "pool-not-found") throw thrown;
      const { exit, code, next } = failure;
      const message = `The pool "${pool}" of "${deployment}" does not exist.`;
      throw new Failure(message, { exit, code, next: [...next, "nothing was registered"], cause: thrown });
    });
  }
}

/** Registers the deployments one by one. @throws Failure that names those already registered. */
async function registerAll(
  args: Registration,
  deployments: readonly ProjectDeployment[],
): Promise<readonly DeployOutcome[]> {
  const outcomes: DeployOutcome[] = [];
  for (const deployment of deployments) {
    try {
      outcomes.push(await register(args, deployment));
    } catch (thrown) {
      const done = outcomes.filter(({ status }) => status === "registered");
      if (done.length === 0) throw thrown;
      const { message, exit, code, faults, next } = toFailure(thrown);
      const names = done.map((one) => `${one.deployment} v${one.version}`).join(", ");
      const all = [...next, `already registered: ${names}`];
      throw new Failure(`${deploymentNameOf(deployment.settings)}: ${message}`, {
        exit,
        code,
        faults,
        next: all,
        cause: thrown,
      });
    }
  }
  return outcomes;
}

/** The compute that remote tasks need. */
function wantingTasks(
  deployment: ProjectDeployment,
  ground: Pick<SpecGround, "remote" | "pools">,
): Wanting[] {
  const owner = deploymentNameOf(deployment.settings);
  return Object.entries(remoteTasksOf(deployment, ground)).flatMap(([task, { pools, compute = {} }]) =>
    pools.map((pool) => ({ name: `${owner}: ${task}`, pool, needs: needsOf(compute) })),
  );
}

/**
 * Pushes a project's code to its registry, then signs and registers a new version of each deployment that changed.
 * The control plane receives the signed specs and nothing else.
 */
export async function deployProject(
  invocation: { readonly config: Pick<CliConfig, "environment">; readonly clock: Clock },
  request: DeployRequest,
): Promise<DeployReport> {
  const { project, client } = request;
  const deployments = chosen(project, request.names);
  const { environment } = invocation.config;
  const pools = project.stage?.pools ?? {};
  await checkPools(client, { deployments, remote: new Map(), pools });
  const [code, me] = await Promise.all([buildCode(project, environment), client.getMe()]);
  const { remote } = code;
  await checkPools(client, { deployments, remote, pools });
  await checkTaskLimits(client, { deployments, tasks: code.tasks, python: project.python });
  // Of an archive that the configuration pins, nothing here is pushed.
  const size = bundleSize(pinnedDigest(project) === undefined ? code.tree : []);
  if (!request.plan) await request.beforePush?.(size);
  const pushed = await pushCode(project, { tree: code.tree, environment, dryRun: request.plan });
  const { modules, tasks } = code;
  const registration: Registration = {
    ...request,
    keyring: await keyringOf(request.workspaceKeys ?? []),
    ground: {
      workspaceId: me.workspace.id,
      code: codePin(project, pushed),
      modules,
      tasks,
      remote,
      pools,
      configFile: project.configFile,
      reach: (entry) => reachOf(entry, code.sources),
    },
    floorLag: project.floorLag ?? FLOOR_LAG,
    // The versions of a control plane on the developer's machine end with its folder.
    validMs: request.ledger === null ? null : validMsOf(project),
    nowMs: () => invocation.clock.nowMs(),
    notes: [],
  };
  const outcomes = await registerAll(registration, deployments);
  await request.workersStarted;
  const checks = await readinessWarnings(request, { deployments, code, outcomes });
  return {
    outcomes,
    pushed: request.plan ? null : pushed,
    code: size,
    warnings: [...code.warnings, ...registration.notes, ...checks],
    ledger: request.ledger === null ? null : await ledgerState(request.ledger),
  };
}

/** The ledger after a deploy. */
export async function ledgerState({ file }: LedgerUse): Promise<NonNullable<DeployReport["ledger"]>> {
  const { heads, lines } = await readLedger(file);
  return { file, lines: lines.length, heads };
}

/**
 * What will keep runs of registered versions from starting. A failed look is a warning: the versions are registered, and a
 * failure would say that they are not.
 */
async function readinessWarnings(
  { client, project, byReach = false }: Pick<DeployRequest, "client" | "project" | "byReach">,
  args: {
    deployments: readonly ProjectDeployment[];
    code: ProjectCode;
    outcomes: readonly DeployOutcome[];
  },
): Promise<string[]> {
  const { deployments, code, outcomes } = args;
  const { stage, registry } = project;
  const isDev = byReach || stage?.name === DEV_STAGE;
  const pools = stage?.pools ?? {};
  const elsewhere = deployments.flatMap((one) => wantingTasks(one, { remote: code.remote, pools }));
  try {
    const lacks = await findLacks(client, {
      deployments,
      ground: { stage, registry, code, isDev, configFile: project.configFile },
    });
    const waiting = await misfits(client, [...deployments.map(wantingOf), ...elsewhere]);
    const unstaged = await unstagedWarnings(client, outcomes);
    return [
      ...lacks.map(({ what, next }) => `${what} ${next}`),
      ...waiting.map((one) => `${one}. Its runs wait until a larger worker is online.`),
      ...unstaged,
    ];
  } catch (thrown) {
    const { message } = toFailure(thrown);
    const [reason = ""] = message.split("\n");
    return [
      `Whether workers can run these deployments could not be checked: ${reason.replace(/\.$/, "")}. Run \`towpath doctor\`.`,
    ];
  }
}
