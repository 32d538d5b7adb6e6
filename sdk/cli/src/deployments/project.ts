import { deploymentNameOf, type Entry, needsOf } from "@towpath/contract";
import type { Registry as DefinedRegistry, DeploymentSettings } from "towpath/config";
import type { Wanting } from "../pools/find.ts";
import type { ProjectPackages } from "./npm-lock.ts";
import type { PythonFlowFacts } from "./python/describe.ts";
import type { ProjectEnvironment } from "./python/lock.ts";

/** Where a project's code is pushed. A folder's path is absolute here. */
export type Registry = DefinedRegistry;

/** One deployment of a project. A flow's module is the source's, relative to the project. */
export interface ProjectDeployment {
  readonly entry: Entry;
  readonly settings: DeploymentSettings;
}

/** The stage that a project is deployed for, and its resources there. */
export interface ProjectStage {
  readonly name: string;
  readonly resources: Readonly<Record<string, unknown>>;
  /** The pools that replace the pools of remote tasks. */
  readonly pools: Readonly<Record<string, string>>;
}

/** A project as its configuration describes it. */
export interface Project {
  readonly root: string;
  readonly name: string;
  /** The file that describes it, relative to the root. */
  readonly configFile: string;
  /** Its Python flows. Empty if they were not imported. */
  readonly python: readonly PythonFlowFacts[];
  readonly registry: Registry;
  /** Patterns of files that belong to the code. Undefined: all. */
  readonly files: readonly string[] | undefined;
  /** The locked environment of its Python flows and commands. Null: it has none. */
  readonly environment: ProjectEnvironment | null;
  /** The packages that workers install for its flows. Null: their bundles are complete. */
  readonly packages: ProjectPackages | null;
  readonly deployments: readonly ProjectDeployment[];
  /** The most versions that a floor may stay behind the new one. Undefined: the default. */
  readonly floorLag?: number | undefined;
  /** The days after which a signed version expires. Undefined: the default. Null or 0: never. */
  readonly expiresInDays?: number | null | undefined;
  /** The names of all stores that the project or a stage uses. */
  readonly stores: readonly string[];
  /** The names of all its stages. */
  readonly stageNames: readonly string[];
  /** Null if no stage was chosen. Then everything is as in the code. */
  readonly stage: ProjectStage | null;
}

/** The compute and pools of a deployment's runs. */
export function wantingOf({ settings }: ProjectDeployment): Wanting {
  const { pools, compute = {} } = settings;
  return { name: deploymentNameOf(settings), pool: pools[0] ?? "", needs: needsOf(compute) };
}
