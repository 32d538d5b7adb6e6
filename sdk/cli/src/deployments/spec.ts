import { isDeepStrictEqual } from "node:util";
import { type CodePin, type Fault, retryFaults, SPEC_FORMAT, Spec, type SpecInput } from "@towpath/contract";
import { declaredCompute } from "towpath/config";
import type { z } from "zod";
import { Failure } from "../failure.ts";
import { commitLink } from "./commit-link.ts";
import type { Project, ProjectDeployment } from "./project.ts";
import type { RemoteUse, RemoteUses } from "./tasks/remote-tasks.ts";

/** What a spec needs beside what the project says. */
export interface SpecGround {
  readonly workspaceId: string;
  readonly version: number;
  readonly issuedAt: string;
  readonly code: CodePin;
  /** Where each flow's source module went in the pushed code. */
  readonly modules: ReadonlyMap<string, string>;
  /** The versions of the tasks that each flow's source module reaches. */
  readonly tasks: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** The tasks that each flow's source module calls in other pools. */
  readonly remote: ReadonlyMap<string, RemoteUses>;
  /** The pools that stand for others on the stage that is deployed for. */
  readonly pools: Readonly<Record<string, string>>;
}

/** Where each task may run that is called in another pool. One whose name the code does not say is any of the deployment's. */
export function remoteTasksOf(
  { entry, settings }: ProjectDeployment,
  { remote, pools }: Pick<SpecGround, "remote" | "pools">,
): NonNullable<SpecInput["remoteTasks"]> {
  const uses = entry.kind === "flow" ? (remote.get(entry.module) ?? new Map()) : new Map<string, never>();
  const placed = [...uses].map(([task, use]: [string, RemoteUse]) => {
    const named = [...use.pools].map((pool) => (Object.hasOwn(pools, pool) ? (pools[pool] ?? pool) : pool));
    const all = [...new Set([...named, ...(use.isOpen ? settings.pools : [])])].sort();
    return [task, { pools: all, compute: declaredCompute(task) ?? {} }] as const;
  });
  return Object.fromEntries(
    placed.sort(([a], [b]) => (a < b ? -1 : 1)).filter(([, { pools: all }]) => all.length > 0),
  );
}

function issuesOf(error: z.ZodError): Fault[] {
  return error.issues.map((issue) => ({ path: issue.path.join("."), message: issue.message }));
}

/** Builds a deployment's spec. @throws Failure naming the deployment and field that the contract refuses. */
export function buildSpec(deployment: ProjectDeployment, ground: SpecGround): Spec {
  const { entry, settings } = deployment;
  const { modules, tasks, remote, pools, ...rest } = ground;
  const module = entry.kind === "flow" ? (modules.get(entry.module) ?? entry.module) : "";
  const parsed = Spec.safeParse({
    ...settings,
    ...rest,
    format: SPEC_FORMAT,
    tasks: entry.kind === "flow" ? (tasks.get(entry.module) ?? {}) : {},
    remoteTasks: remoteTasksOf(deployment, { remote, pools }),
    entry: entry.kind === "flow" ? { ...entry, module } : entry,
  });
  const faults = parsed.success ? retryFaults(parsed.data.retry) : issuesOf(parsed.error);
  if (parsed.success && faults.length === 0) return parsed.data;
  throw new Failure(`The deployment "${settings.deployment}" is not acceptable.`, {
    exit: "configuration",
    code: "invalid-spec",
    faults,
    next: ["correct it in towpath.config.ts"],
    cause: parsed.error,
  });
}

/**
 * The code pin of what was pushed.
 * @throws Failure when the project asks for a link to its commits and none can be made.
 */
export function codePin(project: Project, digest: string): CodePin {
  const { registry } = project;
  if (registry.kind !== "git") return { kind: registry.kind, registry: registry.name, digest };
  const link = commitLink(registry, digest);
  return { kind: "git", registry: registry.name, digest, ...(link !== undefined && { link }) };
}

const VOLATILE = { version: 0, issuedAt: "" };

/** Whether two specs say the same, their version and time of issue aside. */
export function saysTheSame(a: Spec, b: Spec): boolean {
  return isDeepStrictEqual({ ...a, ...VOLATILE }, { ...b, ...VOLATILE });
}

/** The fields in which two specs differ, for `--plan`. */
export function differences(a: Spec, b: Spec): string[] {
  const fields = Object.keys(Spec.shape).filter((field) => !(field in VOLATILE));
  const from: Record<string, unknown> = a;
  const to: Record<string, unknown> = b;
  return fields.filter((field) => !isDeepStrictEqual(from[field], to[field]));
}
