import type { Client } from "@towpath/client";
import {
  DEV_STAGE,
  type Deployment,
  type DeploymentVersion,
  deploymentNameOf,
  needsOf,
  Problem,
  type Spec,
} from "@towpath/contract";
import type { BundleSize, DeployOutcome, DeployReport } from "towpath/deploy";
import type { Clock } from "../clock.ts";
import type { CliConfig } from "../config.ts";
import { Failure, toFailure } from "../failure.ts";
import { readSigned, type SigningKey, signSpec } from "../identity/signing-key.ts";
import { findPool, misfits, type Wanting } from "../pools/find.ts";
import { bundleSize } from "./bundle-size.ts";
import { buildCode, type ProjectCode } from "./code.ts";
import { type Project, type ProjectDeployment, wantingOf } from "./project.ts";
import { pushCode } from "./push-code.ts";
import { reachOf } from "./reach.ts";
import { checkTaskLimits, findLacks } from "./readiness.ts";
import { buildSpec, codePin, differences, remoteTasksOf, type SpecGround, saysTheSame } from "./spec.ts";
import { unstagedWarnings } from "./unstaged.ts";

/** How often a registration is repeated after a conflict about its version number. */
const CONFLICTS_MAX = 5;

/** What a deploy needs. */
export interface DeployRequest {
  readonly project: Project;
  /** Deployments to register; empty: all. */
  readonly names: readonly string[];
  readonly client: Client;
  readonly key: SigningKey;
  /** Only shows what would change: pushes and registers nothing. */
  readonly plan: boolean;
  /** Whether later deploys keep the version of a deployment if only code changes that it does not use. @default false */
  readonly byReach?: boolean;
  /** Resolves when the workers have been started, for a caller that starts them at the same time. @default at once */
  readonly workersStarted?: Promise<void>;
  /** Called with the size of the code before it is pushed. What it throws stops the deploy. */
  readonly beforePush?: (size: BundleSize) => Promise<void>;
}

interface Registration extends DeployRequest {
  readonly ground: Omit<SpecGround, "version" | "issuedAt">;
  readonly nowIso: () => string;
}

async function latestOf(client: Client, name: string): Promise<Deployment | null> {
  try {
    return await client.getDeployment({ params: { name } });
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "deployment-not-found") return null;
    throw failure;
  }
}

/**
 * The number of the last version: of the latest one, or of a deployment that was removed. A removed one continues its numbers,
 * because workers refuse a number below the floor that they know.
 */
async function lastNumber(client: Client, { name, latest }: { name: string; latest: number | undefined }) {
  if (latest !== undefined) return latest;
  try {
    const { items } = await client.listVersions({ params: { name }, query: { limit: 1 } });
    return items[0]?.version ?? 0;
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "deployment-not-found") return 0;
    throw failure;
  }
}

/**
 * The spec of a version, if it was signed with this key. The control plane is not trusted: the signature must be ours, and
 * the spec must be for that version of that deployment.
 */
export async function ownSpec(
  client: Client,
  args: { name: string; version: number; workspaceId: string; key: SigningKey },
): Promise<Spec | null> {
  const { name, version, workspaceId, key } = args;
  const { spec: jws } = await client.getSpec({ params: { name, version } });
  const spec = await readSigned(jws, key);
  const isIt =
    spec?.workspaceId === workspaceId && deploymentNameOf(spec) === name && spec.version === version;
  return isIt ? spec : null;
}

/** The spec of the latest version, if it was signed with this key. */
async function registered(
  { client, key, ground }: Registration,
  { name, latest }: { name: string; latest: DeploymentVersion | undefined },
): Promise<Spec | null> {
  if (latest?.keyId !== key.kid) return null;
  return await ownSpec(client, { name, version: latest.version, workspaceId: ground.workspaceId, key });
}

async function registerOnce(args: Registration, deployment: ProjectDeployment): Promise<DeployOutcome> {
  const name = deploymentNameOf(deployment.settings);
  const latest = (await latestOf(args.client, name))?.latest;
  const version = (await lastNumber(args.client, { name, latest: latest?.version })) + 1;
  const spec = buildSpec(deployment, { ...args.ground, version, issuedAt: args.nowIso() });
  const before = await registered(args, { name, latest });
  const changed = before && differences(before, spec);
  const { digest } = spec.code;
  if (latest && before && saysTheSame(before, spec))
    return {
      deployment: name,
      version: latest.version,
      status: "unchanged",
      digest: before.code.digest,
      keyId: latest.keyId,
      changed,
      wasRemoved: false,
    };
  const wasRemoved = latest === undefined && version > 1;
  const outcome = { deployment: name, version, digest, keyId: args.key.kid, changed, wasRemoved };
  if (args.plan) return { ...outcome, status: "planned" };
  const { reach, ...rest } = spec;
  const signed = args.byReach === true && reach !== undefined ? { ...rest, reach } : rest;
  await args.client.registerVersion({ body: { spec: await signSpec(signed, args.key) } });
  return { ...outcome, status: "registered" };
}

async function register(args: Registration, deployment: ProjectDeployment): Promise<DeployOutcome> {
  for (let conflict = 1; ; conflict++) {
    try {
      return await registerOnce(args, deployment);
    } catch (failure) {
      const isRace = failure instanceof Problem && failure.code === "version-conflict";
      if (!isRace || conflict >= CONFLICTS_MAX) throw failure;
    }
  }
}

/** The chosen deployments. @throws Failure for a name that the project does not have. */
function chosen(project: Project, names: readonly string[]): readonly ProjectDeployment[] {
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
  const size = bundleSize(code.tree);
  if (!request.plan) await request.beforePush?.(size);
  const pushed = await pushCode(project, { tree: code.tree, environment, dryRun: request.plan });
  const { modules, tasks } = code;
  const registration: Registration = {
    ...request,
    ground: {
      workspaceId: me.workspace.id,
      code: codePin(project, pushed.digest),
      modules,
      tasks,
      remote,
      pools,
      configFile: project.configFile,
      reach: (entry) => reachOf(entry, code.sources),
    },
    nowIso: () => new Date(invocation.clock.nowMs()).toISOString(),
  };
  const outcomes = await registerAll(registration, deployments);
  await request.workersStarted;
  const checks = await readinessWarnings(request, { deployments, code, outcomes });
  return {
    outcomes,
    pushed: request.plan ? null : pushed,
    code: size,
    warnings: [...code.warnings, ...checks],
  };
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
