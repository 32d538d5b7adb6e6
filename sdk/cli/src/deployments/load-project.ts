import { existsSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { isAbsolute, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Entry } from "@towpath/contract";
import {
  type Deployment,
  type DescribedFlow,
  type ProjectConfig,
  settingsOf,
  stageFaults,
} from "towpath/config";
import { z } from "zod";
import { Failure } from "../failure.ts";
import { STATE_FOLDER_NAME, type StateFolder } from "../kernel/state-folder.ts";
import { findFlow } from "./flow-module.ts";
import { loadAdvice } from "./load-advice.ts";
import { type ProjectPackages, readNpmLock } from "./npm-lock.ts";
import { lendOwnPackages } from "./own-packages.ts";
import type { Project, ProjectDeployment, Registry } from "./project.ts";
import {
  CONFIG_FILES,
  declaredParameters,
  type FoundConfig,
  fileOf,
  findConfig,
  readPythonProject,
} from "./python/config-file.ts";
import { schemaOf } from "./python/data.ts";
import { type Description, describePython, type PythonFlowFacts } from "./python/describe.ts";
import { type ProjectEnvironment, readLock } from "./python/lock.ts";
import { type NamedStage, stageOf } from "./stage.ts";

const CONFIG_FILE = CONFIG_FILES.typescript;

function faulty(message: string, more: { next?: readonly string[]; cause?: unknown } = {}): Failure {
  return new Failure(message, { exit: "configuration", code: "bad-config", ...more });
}

/** Why a project's modules did not load, with the author's stack frames. */
function loadFailure(root: string, cause: unknown, file: string = CONFIG_FILE): Failure {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  // A CommonJS module has another message.
  const missing = /Cannot find (?:package|module) '([^'./][^']*)'/.exec(error.message)?.[1];
  if (missing !== undefined)
    return faulty(`${CONFIG_FILE} needs the package "${missing}", which is not installed.`, {
      next: [`run \`npm install\` in ${root}`],
      cause,
    });
  const said = error.name === "InvalidDefinition" ? error.message : `${error.name}: ${error.message}`;
  const begins = said.startsWith(file) ? said : `${file} cannot be loaded: ${said}`;
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

/** The configuration of a project. @throws Failure if the folder has no project, or two. */
export async function projectConfig(root: string): Promise<FoundConfig> {
  const found = existsSync(root) ? await findConfig(root) : null;
  if (found !== null) return found;
  if (!existsSync(root))
    throw faulty(`There is no folder ${root}.`, { next: ["check the folder after --project"] });
  throw faulty(`There is no ${CONFIG_FILE}, ${CONFIG_FILES.python} or [tool.towpath] in ${root}.`, {
    next: [
      "create a project with `towpath init DIR`, or in Python with `towpath init --python DIR`",
      "or give the project's folder with --project DIR",
    ],
  });
}

async function importConfig(root: string): Promise<ProjectConfig> {
  const path = join(root, CONFIG_FILE);
  lendOwnPackages();
  const module: { default?: unknown } = await import(pathToFileURL(path).href).catch((cause: unknown) => {
    throw loadFailure(root, cause);
  });
  if (isDefined(module.default)) return module.default;
  throw faulty(`${path} has no default export from defineConfig.`, {
    next: ["write `export default defineConfig({ project, pool, registry, deployments: [...] })`"],
  });
}

/** A project's configuration, where it comes from, and what its Python flows say of themselves. */
interface Loaded {
  readonly root: string;
  readonly found: FoundConfig;
  readonly config: ProjectConfig;
  readonly description: Description | null;
}

type PythonDeployment = Extract<Deployment, { kind: "python" }>;

function factsOf({ description }: Loaded, one: PythonDeployment): PythonFlowFacts | undefined {
  return description?.flows.find((flow) => flow.module === one.module && flow.function === one.function);
}

/** A Python deployment with the parameters that `[tool.towpath]` declares for it. */
function withDeclared({ found, root }: Loaded, one: PythonDeployment): PythonDeployment {
  const { name } = one.options;
  const declared = found.kind === "data" ? undefined : declaredParameters(found, name);
  if (declared === undefined) return one;
  const path = `deployments.${name}.parameters`;
  return { ...one, parameters: schemaOf(path, declared, { root }) };
}

function undeclared({ found }: Loaded, { options: { name } }: PythonDeployment): Failure {
  return faulty(
    `The parameters of "${name}" are not declared, and --no-import forbids reading them from the flow.`,
    {
      next: [
        `declare them in pyproject.toml: \`[tool.towpath.deployments.${name}]\`, \`parameters = "${name}.schema.json"\``,
        `or leave out --no-import${found.kind === "data" ? "" : `, or add \`parameters\` in ${fileOf(found)}`}`,
      ],
    },
  );
}

async function settingsFor(
  loaded: Loaded,
  one: Deployment,
  ground: { pool: string; store?: string | undefined },
) {
  if (one.kind !== "python") return await settingsOf(one, ground);
  const flow = factsOf(loaded, one);
  const deployment = withDeclared(loaded, one);
  if (flow === undefined && deployment.parameters === undefined) throw undeclared(loaded, one);
  return await settingsOf(deployment, { ...ground, flow: flow as DescribedFlow | undefined });
}

/** The first words of a command that runs Python. */
const PYTHON_WORDS = ["python", "python3"];

/** What workers build for a project: its Python environment and its npm packages. */
interface Installed {
  readonly locked: ProjectEnvironment | null;
  readonly packages: ProjectPackages | null;
}

/** Whether a deployment finds the project's npm packages: a flow in TypeScript, or a script that Node runs. */
function isNode(one: Deployment): boolean {
  return one.kind === "flow" || (one.kind === "command" && one.command[0] === "node");
}

async function entryOf(root: string, one: Deployment, { locked, packages }: Installed): Promise<Entry> {
  if (one.kind === "flow") {
    const needed = packages && { packages: packages.packages };
    return { kind: "flow", ...(await findFlow(root, one.flow)), ...needed };
  }
  const needed = packages && isNode(one) ? { packages: packages.packages } : {};
  const isPython = one.kind === "python" || PYTHON_WORDS.includes(one.command[0] ?? "");
  const own = one.environment ?? (isPython ? locked?.environment : undefined);
  const environment = own && { environment: own };
  if (one.kind === "command") return { kind: "command", argv: [...one.command], ...environment, ...needed };
  const codecs = one.codecs?.length ? { codecs: one.codecs } : {};
  return { kind: "python", module: one.module, function: one.function, ...environment, ...codecs };
}

async function deploymentOf(
  loaded: Loaded,
  args: { deployment: Deployment; stage: NamedStage | null } & Installed,
): Promise<ProjectDeployment> {
  const { root, config, found } = loaded;
  const { deployment, stage } = args;
  const ground = { pool: stage?.pool ?? config.pool, store: stage?.store ?? config.store };
  const plain = await settingsFor(loaded, deployment, ground).catch((cause: unknown) => {
    if (cause instanceof Failure) throw cause;
    throw loadFailure(root, cause, fileOf(found));
  });
  const env = { ...plain.env, ...stage?.env };
  const settings = { ...plain, stage: stage?.name ?? null, env };
  return { entry: await entryOf(root, deployment, args), settings };
}

/** The locked environment of a project. Null: it has none. @throws Failure about its lock */
async function environmentOf({ root, config, description }: Loaded): Promise<ProjectEnvironment | null> {
  const { environment: options } = config;
  if (options === undefined) return null;
  const described = description ?? (await describePython(root, { config: null, flows: [], imports: false }));
  return await readLock(root, { options, python: described.python });
}

/** Loads a project's configuration, in any of its forms, and describes its Python flows. */
async function loadConfig(root: string, imports: boolean): Promise<Loaded> {
  const found = await projectConfig(root);
  const read =
    found.kind === "typescript"
      ? { config: await importConfig(root), description: null }
      : await readPythonProject(root, found, { imports });
  const flows = read.config.deployments.flatMap((one) =>
    one.kind === "python" ? [{ module: one.module, function: one.function }] : [],
  );
  const isAsked = imports && flows.length > 0 && read.description === null;
  const description = isAsked
    ? await describePython(root, { config: null, flows, imports })
    : read.description;
  return { root, found, config: read.config, description };
}

/**
 * Checks the settings of resources in a stage that the configuration describes.
 * @throws Failure that names every wrong setting.
 */
async function checkSettings(
  { config: { stages = {} }, found, description }: Loaded,
  { stage, resources }: { stage: string; resources: Readonly<Record<string, unknown>> },
): Promise<void> {
  if (!Object.hasOwn(stages, stage)) return;
  const inPython = (description?.flows ?? []).flatMap((flow) => flow.resources);
  const faults = await stageFaults({ path: `stages.${stage}.resources`, resources, inPython });
  if (faults.length === 0) return;
  throw new Failure(`The stage "${stage}" has settings that its resources do not accept.`, {
    exit: "configuration",
    code: "bad-config",
    faults,
    next: [`correct \`stages.${stage}.resources\` in ${fileOf(found)}, or the \`settings\` of the resource`],
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

/** The registry with the files of its secrets as absolute paths. */
function withAbsoluteFiles<One extends Registry>(root: string, registry: One): One {
  const fields = Object.entries(registry).map(([field, value]: [string, unknown]) => {
    const isFile = typeof value === "object" && value !== null && "file" in value;
    return [field, isFile ? { file: resolve(root, String(value.file)) } : value];
  });
  // The cast is safe: only the text of paths differs.
  return Object.fromEntries(fields) as One;
}

function registryOf(root: string, args: { config: ProjectConfig; folder: StateFolder }): Registry {
  const { registry } = args.config;
  if (registry.kind === "git")
    return withAbsoluteFiles(root, { ...registry, url: gitUrl(root, registry.url) });
  if (registry.kind !== "oci-layout") return withAbsoluteFiles(root, registry);
  return { ...registry, path: layoutPath(root, { path: registry.path, folder: args.folder }) };
}

/** A stage, or a function that chooses one among those of the project. Undefined: without a stage. */
type StageOrChooser = string | ((stages: readonly string[]) => Promise<string | undefined>);

/**
 * Loads a project from its `towpath.config.ts`, its `towpath_config.py` or its `[tool.towpath]`.
 * @param args.imports Whether Python flows may be imported. @default true
 * @param args.folder The state folder in use, for `.towpath/…` paths of the configuration.
 * @param args.stage The stage to deploy for, or a function that chooses it. Missing: without a stage.
 * @throws Failure that names the faulty field or file.
 */
export async function loadProject(
  folderOfProject: string,
  args: { folder: StateFolder; stage?: StageOrChooser | undefined; imports?: boolean },
): Promise<Project> {
  const root = await realpath(folderOfProject).catch((cause: unknown) => {
    throw faulty(`There is no folder ${folderOfProject}.`, {
      next: ["check the folder after --project"],
      cause,
    });
  });
  const loaded = await loadConfig(root, args.imports ?? true);
  const { config, found } = loaded;
  const names = Object.keys(config.stages ?? {});
  const chosen = typeof args.stage === "function" ? await args.stage(names) : args.stage;
  const stage = stageOf(config, { name: chosen, file: fileOf(found) });
  const resources = Object.fromEntries(
    (stage?.resources ?? []).map((one) => [one.resource, one.settings] as const),
  );
  if (stage !== null) await checkSettings(loaded, { stage: stage.name, resources });
  const locked = await environmentOf(loaded);
  if (config.npm !== undefined && !config.deployments.some(isNode))
    throw faulty(
      `\`npm.packages\` in ${fileOf(found)} serves no deployment: only flows in TypeScript and commands that begin with "node" find these packages, and this project has neither.`,
      {
        next: [
          'remove `npm`, or call the packages from a flow in TypeScript, or from a script: `command: ["node", "SCRIPT"]`',
          "any other command finds only what its files contain and what is installed on the worker",
        ],
      },
    );
  const packages = config.npm === undefined ? null : await readNpmLock(root, config.npm);
  const deployments: ProjectDeployment[] = [];
  for (const deployment of config.deployments)
    deployments.push(await deploymentOf(loaded, { deployment, stage, locked, packages }));
  const registry = registryOf(root, { config, folder: args.folder });
  return {
    root,
    name: config.project,
    configFile: fileOf(found),
    python: loaded.description?.flows ?? [],
    registry,
    files: config.files,
    environment: locked,
    floorLag: config.floorLag,
    expiresInDays: config.expiresInDays,
    packages,
    deployments,
    stores: [config.store, ...Object.values(config.stages ?? {}).map((one) => one.store)].filter(
      (name) => name !== undefined,
    ),
    stageNames: names,
    stage: stage && { name: stage.name, resources, pools: stage.pools ?? {} },
  };
}
