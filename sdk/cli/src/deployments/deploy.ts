import type { Client } from "@towpath/client";
import { type Deployment, type DeploymentVersion, Problem, type Spec } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { type SigningKey, signSpec } from "../identity/signing-key.ts";
import { readJsonFile } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { type StateFolder, writeWhole } from "../kernel/state-folder.ts";
import { buildCode, pushCode } from "./code.ts";
import type { Project, ProjectDeployment } from "./project.ts";
import { buildSpec, codePin, Deployed, differences, type SpecGround, saysTheSame } from "./spec.ts";

/** How often a registration that lost a race for its version number is made again. */
const CONFLICTS_MAX = 5;

/** What became of one deployment. */
export interface DeployOutcome {
  readonly deployment: string;
  readonly version: number;
  readonly status: "registered" | "unchanged" | "planned";
  readonly digest: string;
  readonly keyId: string;
  /** The fields that differ from the version before; null when that one was not registered from here. */
  readonly changed: readonly string[] | null;
}

/** What a deploy needs. */
export interface DeployRequest {
  readonly project: Project;
  /** Deployments to register; empty: all. */
  readonly names: readonly string[];
  readonly folder: StateFolder;
  readonly client: Client;
  readonly key: SigningKey;
  /** Only says what would change: pushes nothing, registers nothing. */
  readonly plan: boolean;
}

/** What a deploy did. */
export interface DeployReport {
  readonly outcomes: readonly DeployOutcome[];
  readonly warnings: readonly string[];
}

interface Registration extends DeployRequest {
  readonly ground: Omit<SpecGround, "version" | "issuedAt">;
  readonly nowIso: () => string;
  readonly memory: Map<string, Deployed[string]>;
}

async function latestOf(client: Client, name: string): Promise<Deployment | null> {
  try {
    return await client.getDeployment({ params: { name } });
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "deployment-not-found") return null;
    throw failure;
  }
}

/** The spec of the latest version, if it was registered from this state folder with this key. */
function remembered(a: Registration, latest: DeploymentVersion | undefined): Spec | null {
  const memory = latest && a.memory.get(latest.id);
  return memory?.keyId === a.key.kid ? memory.spec : null;
}

async function registerOnce(a: Registration, deployment: ProjectDeployment): Promise<DeployOutcome> {
  const name = deployment.settings.deployment;
  const latest = (await latestOf(a.client, name))?.latest;
  const version = (latest?.version ?? 0) + 1;
  const spec = buildSpec(deployment, { ...a.ground, version, issuedAt: a.nowIso() });
  const before = remembered(a, latest);
  const changed = before && differences(before, spec);
  const { digest } = spec.code;
  if (latest && before && saysTheSame(before, spec))
    return {
      deployment: name,
      version: latest.version,
      status: "unchanged",
      digest,
      keyId: latest.keyId,
      changed,
    };
  const outcome = { deployment: name, version, digest, keyId: a.key.kid, changed };
  if (a.plan) return { ...outcome, status: "planned" };
  const registered = await a.client.registerVersion({ body: { spec: await signSpec(spec, a.key) } });
  a.memory.set(registered.latest.id, { versionId: registered.latest.id, keyId: a.key.kid, spec });
  return { ...outcome, status: "registered" };
}

async function register(a: Registration, deployment: ProjectDeployment): Promise<DeployOutcome> {
  for (let conflict = 1; ; conflict++) {
    try {
      return await registerOnce(a, deployment);
    } catch (failure) {
      const isRace = failure instanceof Problem && failure.code === "version-conflict";
      if (!isRace || conflict >= CONFLICTS_MAX) throw failure;
    }
  }
}

/** The deployments asked for. @throws Failure for a name that the project does not have. */
function chosen(project: Project, names: readonly string[]): readonly ProjectDeployment[] {
  const known = project.deployments.map(({ settings }) => settings.deployment);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Failure(`The project has no deployment "${unknown}".`, {
      exit: "notFound",
      code: "deployment-not-found",
      next: [`towpath.config.ts has: ${known.join(", ")}`],
    });
  return project.deployments.filter(
    ({ settings }) => names.length === 0 || names.includes(settings.deployment),
  );
}

/**
 * Pushes a project's code to its registry, then signs and registers a new version of each deployment that changed.
 * The control plane receives the signed specs and nothing else.
 */
export async function deployProject(invocation: Invocation, request: DeployRequest): Promise<DeployReport> {
  const { project, client, folder } = request;
  const deployments = chosen(project, request.names);
  const { environment } = invocation.config;
  const [code, me] = await Promise.all([buildCode(project, environment), client.getMe()]);
  const { digest } = await pushCode(project, { tree: code.tree, environment, dryRun: request.plan });
  const stored = (await readJsonFile(folder.deployedFile, Deployed)) ?? {};
  const memory = new Map(Object.values(stored).map((one) => [one.versionId, one]));
  const registration: Registration = {
    ...request,
    memory,
    ground: { workspaceId: me.workspace.id, code: codePin(project, digest), modules: code.modules },
    nowIso: () => new Date(invocation.clock.nowMs()).toISOString(),
  };
  const outcomes: DeployOutcome[] = [];
  for (const deployment of deployments) outcomes.push(await register(registration, deployment));
  if (!request.plan && outcomes.some(({ status }) => status === "registered")) await remember(folder, memory);
  return { outcomes, warnings: code.warnings };
}

/** Keeps the newest spec of each deployment. */
async function remember(folder: StateFolder, memory: Registration["memory"]): Promise<void> {
  const newest = new Map<string, Deployed[string]>();
  for (const one of memory.values()) {
    const key = `${one.spec.workspaceId}/${one.spec.deployment}`;
    if ((newest.get(key)?.spec.version ?? 0) <= one.spec.version) newest.set(key, one);
  }
  await writeWhole(folder.deployedFile, `${JSON.stringify(Object.fromEntries(newest), null, 2)}\n`);
}
