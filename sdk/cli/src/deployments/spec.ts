import { isDeepStrictEqual } from "node:util";
import {
  type CodePin,
  deploymentNameOf,
  type Fault,
  retryFaults,
  SPEC_FORMAT,
  Spec,
  type SpecInput,
} from "@towpath/contract";
import { declaredCompute } from "towpath/config";
import type { z } from "zod";
import { Failure } from "../failure.ts";
import { commitLink } from "./commit-link.ts";
import type { Project, ProjectDeployment } from "./project.ts";
import type { RemoteUse, RemoteUses } from "./tasks/remote-tasks.ts";

/** What a spec needs besides the project. */
export interface SpecGround {
  readonly workspaceId: string;
  readonly version: number;
  readonly issuedAt: string;
  /** The oldest version that workers may still run. */
  readonly floor: number;
  /** When it expires, unless the deployment says so itself. @default never */
  readonly expiresAt?: string | null;
  readonly code: CodePin;
  /** The path of each flow's source module in the pushed code. */
  readonly modules: ReadonlyMap<string, string>;
  /** The versions of the tasks that each flow's source module reaches. */
  readonly tasks: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** The remote tasks of each flow's source module. */
  readonly remote: ReadonlyMap<string, RemoteUses>;
  /** The file that a failure names. @default towpath.config.ts */
  readonly configFile?: string;
  /** The pools that replace others in the chosen stage. */
  readonly pools: Readonly<Record<string, string>>;
  /** A hash of the code that a deployment may use. Missing: a change of any code makes a version of every deployment. */
  readonly reach?: ((entry: ProjectDeployment["entry"]) => string | null) | undefined;
}

/** The allowed pools of each remote task. A pool that is not written in the code must be one of the deployment's. */
export function remoteTasksOf(
  { entry, settings }: ProjectDeployment,
  { remote, pools }: Pick<SpecGround, "remote" | "pools">,
): NonNullable<SpecInput["remoteTasks"]> {
  const uses = entry.kind === "command" ? new Map<string, never>() : (remote.get(entry.module) ?? new Map());
  const placed = [...uses].map(([task, use]: [string, RemoteUse]) => {
    const named = [...use.pools].map((pool) => (Object.hasOwn(pools, pool) ? (pools[pool] ?? pool) : pool));
    const all = [...new Set([...named, ...(use.isOpen ? settings.pools : [])])].sort();
    const compute = use.compute === undefined ? declaredCompute(task) : use.compute;
    return [task, { pools: all, compute: compute ?? {} }] as const;
  });
  return Object.fromEntries(
    placed.sort(([a], [b]) => (a < b ? -1 : 1)).filter(([, { pools: all }]) => all.length > 0),
  );
}

function issuesOf(error: z.ZodError): Fault[] {
  return error.issues.map((issue) => ({ path: issue.path.join("."), message: issue.message }));
}

/** Builds a deployment's spec. @throws Failure that names the deployment and the invalid field. */
export function buildSpec(deployment: ProjectDeployment, ground: SpecGround): Spec {
  const { entry, settings } = deployment;
  const { modules, tasks, remote, pools, reach: reachOf, configFile: _, expiresAt = null, ...rest } = ground;
  const reach = reachOf?.(entry) ?? null;
  const module = entry.kind === "flow" ? (modules.get(entry.module) ?? entry.module) : "";
  const parsed = Spec.safeParse({
    ...settings,
    expiresAt: settings.expiresAt === undefined ? expiresAt : settings.expiresAt,
    ...rest,
    ...(reach !== null && { reach }),
    format: SPEC_FORMAT,
    tasks: entry.kind === "command" ? {} : (tasks.get(entry.module) ?? {}),
    remoteTasks: remoteTasksOf(deployment, { remote, pools }),
    entry: entry.kind === "flow" ? { ...entry, module } : entry,
  });
  const faults = parsed.success ? retryFaults(parsed.data.retry) : issuesOf(parsed.error);
  if (parsed.success && faults.length === 0) return parsed.data;
  throw new Failure(`The deployment "${deploymentNameOf(settings)}" is not valid.`, {
    exit: "configuration",
    code: "invalid-spec",
    faults,
    next: [`correct it in ${ground.configFile ?? "towpath.config.ts"}`],
    cause: parsed.error,
  });
}

/**
 * The code pin of the pushed code.
 * @throws Failure if the project wants links to commits and none can be created.
 */
export function codePin(
  { registry }: Project,
  { digest, version = "" }: { digest: string; version?: string },
): CodePin {
  if (registry.kind === "npm") return { kind: "npm", registry: registry.name, version, digest };
  if (registry.kind !== "git") return { kind: registry.kind, registry: registry.name, digest };
  const link = commitLink(registry, digest);
  return { kind: "git", registry: registry.name, digest, ...(link !== undefined && { link }) };
}

const VOLATILE = { version: 0, issuedAt: "" };

/** Which fields the project's configuration sets. Others follow from the time and from the runs that have not ended. */
export interface GivenFields {
  readonly floor: boolean;
  readonly expiresAt: boolean;
}

const ALL_GIVEN: GivenFields = { floor: true, expiresAt: true };

/** The fields that differ between any two versions. */
function volatileOf(given: GivenFields): Partial<Record<keyof Spec, number | string>> {
  return { ...VOLATILE, ...(!given.floor && { floor: 0 }), ...(!given.expiresAt && { expiresAt: "" }) };
}

/**
 * Whether two specs are equal apart from version, time of issue, and what the configuration does not set. If both have the
 * same reach, code that the deployment does not use does not count.
 */
export function saysTheSame(a: Spec, b: Spec, given = ALL_GIVEN): boolean {
  const isReachSame = a.reach !== undefined && a.reach === b.reach;
  const compared = (spec: Spec) => {
    const { reach: _, ...rest } = spec;
    const { kind, registry } = spec.code;
    return { ...rest, ...volatileOf(given), ...(isReachSame && { code: { kind, registry } }) };
  };
  return isDeepStrictEqual(compared(a), compared(b));
}

/** The fields in which two specs differ, for `--plan`. */
export function differences(a: Spec, b: Spec, given = ALL_GIVEN): string[] {
  const volatile = volatileOf(given);
  const fields = Object.keys(Spec.shape).filter((field) => !(field in volatile) && field !== "reach");
  const from: Record<string, unknown> = a;
  const to: Record<string, unknown> = b;
  return fields.filter((field) => !isDeepStrictEqual(from[field], to[field]));
}
