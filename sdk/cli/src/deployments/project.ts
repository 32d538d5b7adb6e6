import { type Entry, needsOf } from "@towpath/contract";
import type { Registry as DefinedRegistry, DeploymentSettings } from "towpath/config";
import type { Wanting } from "../pools/fit.ts";

/** Where a project's code is pushed; a folder's path is absolute by now. */
export type Registry = DefinedRegistry;

/** One deployment of a project. A flow's module is the source's, relative to the project. */
export interface ProjectDeployment {
  readonly entry: Entry;
  readonly settings: DeploymentSettings;
}

/** The stage a project is deployed for, and what its resources are there. */
export interface ProjectStage {
  readonly name: string;
  readonly resources: Readonly<Record<string, unknown>>;
  /** The pools that stand for those that the code calls tasks in. */
  readonly pools: Readonly<Record<string, string>>;
}

/** A project as its `towpath.config.ts` describes it. */
export interface Project {
  readonly root: string;
  readonly name: string;
  readonly registry: Registry;
  /** Patterns of files that belong to the code; undefined: all. */
  readonly files: readonly string[] | undefined;
  readonly deployments: readonly ProjectDeployment[];
  /** The names of all stores that it or a stage of it chooses. */
  readonly stores: readonly string[];
  /** Null when no stage was asked for: everything is as the code says. */
  readonly stage: ProjectStage | null;
}

/** What a deployment's runs need, and where they wait for it. */
export function wantingOf({ settings }: ProjectDeployment): Wanting {
  const { deployment: name, pools, compute = {} } = settings;
  return { name, pool: pools[0] ?? "", needs: needsOf(compute) };
}
