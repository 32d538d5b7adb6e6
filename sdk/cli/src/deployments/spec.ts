import { isDeepStrictEqual } from "node:util";
import { type CodePin, SPEC_FORMAT, Spec } from "@towpath/contract";
import { Failure } from "../failure.ts";
import type { Project, ProjectDeployment } from "./project.ts";

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
}

/** Builds a deployment's spec. @throws Failure naming the deployment and field that the contract refuses. */
export function buildSpec(deployment: ProjectDeployment, ground: SpecGround): Spec {
  const { entry, settings } = deployment;
  const { modules, tasks, ...rest } = ground;
  const module = entry.kind === "flow" ? (modules.get(entry.module) ?? entry.module) : "";
  const parsed = Spec.safeParse({
    ...settings,
    ...rest,
    format: SPEC_FORMAT,
    tasks: entry.kind === "flow" ? (tasks.get(entry.module) ?? {}) : {},
    entry: entry.kind === "flow" ? { ...entry, module } : entry,
  });
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => ({ path: issue.path.join("."), message: issue.message }));
  throw new Failure(`The deployment "${settings.deployment}" is not acceptable.`, {
    exit: "configuration",
    code: "invalid-spec",
    faults: issues,
    next: ["correct it in towpath.config.ts"],
    cause: parsed.error,
  });
}

/** The code pin of what was pushed. */
export function codePin(project: Project, digest: string): CodePin {
  return { kind: project.registry.kind, registry: project.registry.name, digest };
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
