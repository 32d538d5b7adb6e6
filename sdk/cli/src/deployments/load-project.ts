import { existsSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { isAbsolute, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Deployment, type ProjectConfig, settingsOf, stageFaults } from "towpath/config";
import { z } from "zod";
import { Failure } from "../failure.ts";
import { STATE_FOLDER_NAME, type StateFolder } from "../kernel/state-folder.ts";
import { findFlow } from "./flow-module.ts";
import { loadAdvice } from "./load-advice.ts";
import { lendOwnPackages } from "./own-packages.ts";
import type { Project, ProjectDeployment, Registry } from "./project.ts";
import { type NamedStage, stageOf } from "./stage.ts";

/** The file that describes a project. */
export const CONFIG_FILE = "towpath.config.ts";

function faulty(message: string, more: { next?: readonly string[]; cause?: unknown } = {}): Failure {
  return new Failure(message, { exit: "configuration", code: "bad-config", ...more });
}

/** Why a project's modules did not load, with the author's stack frames. */
function loadFailure(root: string, cause: unknown): Failure {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  // A CommonJS module has another message.
  const missing = /Cannot find (?:package|module) '([^'./][^']*)'/.exec(error.message)?.[1];
  if (missing !== undefined)
    return faulty(`${CONFIG_FILE} needs the package "${missing}", which is not installed.`, {
      next: [`run \`npm install\` in ${root}`],
      cause,
    });
  const said = error.name === "InvalidDefinition" ? error.message : `${error.name}: ${error.message}`;
  const begins = said.startsWith(CONFIG_FILE) ? said : `${CONFIG_FILE} cannot be loaded: ${said}`;
  return faulty(begins, { next: [...placesIn(root, error), ...loadAdvice(root, error.message)], cause });
}

/** At most this many stack frames are shown. */
const PLACES_MAX = 3;

/** Where in the project an error is: Node's heading of a syntax error, and the author's stack frames. */
function placesIn(root: string, error: Error): string[] {
  const lines = (error.stack ?? "").split("\n").map((line) => line.trim().replace("file://", ""));
  const head = lines[0]?.startsWith(root) ? lines.slice(0, 2) : [];
  const frames = lines.filter((line) => line.startsWith("at ") && line.includes(root));
  const own = frames.filter((line) => !line.includes("node_modules")).slice(0, PLACES_MAX);
  return [...head, ...own].map((line) => line.replace(`${root}/`, ""));
}

/** The fields that mark a result of `defineConfig`, which has checked all of it. */
const Defined = z.looseObject({
  project: z.string(),
  pool: z.string(),
  registry: z.looseObject({ kind: z.string(), name: z.string() }),
  deployments: z.array(z.looseObject({ kind: z.string(), options: z.looseObject({ name: z.string() }) })),
});

/** Whether a value is a result of `defineConfig`, from any copy of the SDK. */
function isDefined(value: unknown): value is ProjectConfig {
  return Defined.safeParse(value).success;
}

/** The path of a project's configuration. @throws Failure if the folder has no project. */
export function configPath(root: string): string {
  const path = join(root, CONFIG_FILE);
  if (existsSync(path)) return path;
  if (!existsSync(root))
    throw faulty(`There is no folder ${root}.`, { next: ["check the folder after --project"] });
  throw faulty(`There is no ${CONFIG_FILE} in ${root}.`, {
    next: ["create a project with `towpath init DIR`", "or give the project's folder with --project DIR"],
  });
}

async function importConfig(root: string): Promise<ProjectConfig> {
  const path = configPath(root);
  lendOwnPackages();
  const module: { default?: unknown } = await import(pathToFileURL(path).href).catch((cause: unknown) => {
    throw loadFailure(root, cause);
  });
  if (isDefined(module.default)) return module.default;
  throw faulty(`${path} has no default export from defineConfig.`, {
    next: ["write `export default defineConfig({ project, pool, registry, deployments: [...] })`"],
  });
}

async function deploymentOf(
  root: string,
  args: { config: ProjectConfig; deployment: Deployment; stage: NamedStage | null },
): Promise<ProjectDeployment> {
  const { config, deployment, stage } = args;
  const pool = stage?.pool ?? config.pool;
  const plain = await settingsOf(deployment, { pool, store: stage?.store ?? config.store }).catch(
    (cause: unknown) => {
      throw loadFailure(root, cause);
    },
  );
  const env = { ...plain.env, ...stage?.env };
  const settings = { ...plain, stage: stage?.name ?? null, env };
  if (deployment.kind === "command")
    return { entry: { kind: "command", argv: [...deployment.command] }, settings };
  return { entry: { kind: "flow", ...(await findFlow(root, deployment.flow)) }, settings };
}

/**
 * Checks the settings of resources in a stage that the configuration describes.
 * @throws Failure that names every wrong setting.
 */
async function checkSettings(
  { stages = {} }: ProjectConfig,
  { stage, resources }: { stage: string; resources: Readonly<Record<string, unknown>> },
): Promise<void> {
  if (!Object.hasOwn(stages, stage)) return;
  const faults = await stageFaults({ path: `stages.${stage}.resources`, resources });
  if (faults.length === 0) return;
  throw new Failure(`The stage "${stage}" has settings that its resources do not accept.`, {
    exit: "configuration",
    code: "bad-config",
    faults,
    next: [`correct \`stages.${stage}.resources\` in ${CONFIG_FILE}, or the \`settings\` of the resource`],
  });
}

/** Resolves a path: `.towpath/…` in the state folder, other paths in the project. */
function layoutPath(root: string, args: { path: string; folder: StateFolder }): string {
  if (isAbsolute(args.path)) return args.path;
  const inState = relative(STATE_FOLDER_NAME, args.path);
  return inState.startsWith("..") ? resolve(root, args.path) : join(args.folder.root, inState);
}

/** The address of a repository in a folder, as workers accept it. Other addresses stay. */
function gitUrl(root: string, url: string): string {
  return isAbsolute(url) || url.startsWith("./") || url.startsWith("../")
    ? pathToFileURL(resolve(root, url)).href
    : url;
}

function registryOf(root: string, args: { config: ProjectConfig; folder: StateFolder }): Registry {
  const { registry } = args.config;
  if (registry.kind === "git") return { ...registry, url: gitUrl(root, registry.url) };
  return { ...registry, path: layoutPath(root, { path: registry.path, folder: args.folder }) };
}

/** A stage, or a function that chooses one among those of the project. Undefined: without a stage. */
type StageOrChooser = string | ((stages: readonly string[]) => Promise<string | undefined>);

/**
 * Loads a project from its `towpath.config.ts`.
 * @param args.folder The state folder in use, for `.towpath/…` paths of the configuration.
 * @param args.stage The stage to deploy for, or a function that chooses it. Missing: without a stage.
 * @throws Failure that names the faulty field or file.
 */
export async function loadProject(
  folderOfProject: string,
  args: { folder: StateFolder; stage?: StageOrChooser | undefined },
): Promise<Project> {
  const root = await realpath(folderOfProject).catch((cause: unknown) => {
    throw faulty(`There is no folder ${folderOfProject}.`, {
      next: ["check the folder after --project"],
      cause,
    });
  });
  const config = await importConfig(root);
  const names = Object.keys(config.stages ?? {});
  const stage = stageOf(config, typeof args.stage === "function" ? await args.stage(names) : args.stage);
  const resources = Object.fromEntries(
    (stage?.resources ?? []).map((one) => [one.resource, one.settings] as const),
  );
  if (stage !== null) await checkSettings(config, { stage: stage.name, resources });
  const deployments: ProjectDeployment[] = [];
  for (const deployment of config.deployments)
    deployments.push(await deploymentOf(root, { config, deployment, stage }));
  const registry = registryOf(root, { config, folder: args.folder });
  return {
    root,
    name: config.project,
    registry,
    files: config.files,
    deployments,
    stores: [config.store, ...Object.values(config.stages ?? {}).map((one) => one.store)].filter(
      (name) => name !== undefined,
    ),
    stageNames: names,
    stage: stage && { name: stage.name, resources, pools: stage.pools ?? {} },
  };
}
