import { existsSync } from "node:fs";
import { isAbsolute, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { JsonObject } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { STATE_FOLDER_NAME, type StateFolder } from "../kernel/state-folder.ts";
import { ConfigShape, type DeclaredDeployment, type StandardInput } from "./config-shape.ts";
import { findFlow } from "./flow-module.ts";
import { runGit } from "./git-program.ts";
import { lendOwnPackages } from "./own-packages.ts";
import type { DeploymentSettings, Project, ProjectDeployment, Registry } from "./project.ts";

/** The file that describes a project. */
export const CONFIG_FILE = "towpath.config.ts";

const SCHEMA_TARGET = "draft-2020-12";
const NO_PARAMETERS = { type: "object", properties: {}, additionalProperties: false };

function faulty(message: string, more: { next?: readonly string[]; cause?: unknown } = {}): Failure {
  return new Failure(message, { exit: "configuration", code: "bad-config", ...more });
}

/** What stopped a project's modules from loading, in the author's words and with the author's frames. */
function loadFailure(root: string, cause: unknown): Failure {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  const missing = /Cannot find package '([^']+)'/.exec(error.message)?.[1];
  if (missing !== undefined)
    return faulty(`${CONFIG_FILE} needs the package "${missing}", which is not installed.`, {
      next: [`\`npm install\` in ${root}`],
      cause,
    });
  const frames = (error.stack ?? "")
    .split("\n")
    .filter((line) => line.includes(root) && !line.includes("node_modules"));
  return faulty(`${CONFIG_FILE} cannot be loaded: ${error.name}: ${error.message}`, {
    next: frames.slice(0, 3).map((line) => line.trim()),
    cause,
  });
}

async function importConfig(root: string): Promise<ConfigShape> {
  const path = join(root, CONFIG_FILE);
  if (!existsSync(path))
    throw faulty(`There is no ${CONFIG_FILE} in ${root}.`, {
      next: ["`towpath init DIR` makes a project", "or name its folder with --project DIR"],
    });
  lendOwnPackages();
  const module: { default?: unknown } = await import(pathToFileURL(path).href).catch((cause: unknown) => {
    throw loadFailure(root, cause);
  });
  const parsed = ConfigShape.safeParse(await module.default);
  if (parsed.success) return parsed.data;
  throw new Failure(`${path} is not a project's configuration.`, {
    exit: "configuration",
    code: "bad-config",
    faults: parsed.error.issues
      .slice(0, 10)
      .map((issue) => ({ path: issue.path.map(String).join("."), message: issue.message })),
    next: ["it must `export default defineConfig({ project, deployments: [...] })`"],
  });
}

/** The JSON Schema of what callers pass; unknown parameters are faults unless the schema says otherwise. */
function parametersOf(name: string, input: StandardInput | null | undefined) {
  if (!input) return NO_PARAMETERS;
  const { vendor, jsonSchema } = input["~standard"];
  if (!jsonSchema)
    throw faulty(`The input of "${name}" is a ${vendor} schema that has no JSON Schema.`, {
      next: ["use zod 4.2 or newer, or another library that implements Standard JSON Schema"],
    });
  const { $schema: _, ...schema } = jsonSchema.input({ target: SCHEMA_TARGET });
  if (schema.type !== "object")
    throw faulty(`The input of "${name}" must be a schema of an object, such as z.object({ … }).`);
  return { additionalProperties: false, ...schema };
}

/** An object without its undefined fields. */
function given<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function settingsOf(config: ConfigShape, deployment: DeclaredDeployment): DeploymentSettings {
  const { options, name } = deployment;
  const { pools = [config.pool], secrets, floor = 1, ...rest } = options;
  const input = deployment.kind === "flow" ? deployment.flow.input : deployment.options.input;
  const {
    command: _command,
    input: _input,
    files: _files,
    ...plain
  } = {
    command: undefined,
    input: undefined,
    files: undefined,
    ...rest,
  };
  const settings = {
    ...given(plain),
    deployment: name,
    pools,
    floor,
    expiresAt: null,
    secrets: (secrets ?? []).map((use) => (typeof use === "string" ? { name: use, env: null } : use)),
    parameters: JsonObject.parse(parametersOf(name, input)),
  };
  return trustedLater(settings);
}

/** Settings whose values the spec's own schema judges when the spec is built, with faults that name the field. */
function trustedLater(settings: object): DeploymentSettings {
  return settings as DeploymentSettings;
}

async function deploymentOf(
  root: string,
  a: { config: ConfigShape; deployment: DeclaredDeployment },
): Promise<ProjectDeployment> {
  const { config, deployment } = a;
  const settings = settingsOf(config, deployment);
  if (deployment.kind === "command")
    return { entry: { kind: "command", argv: [...deployment.options.command] }, settings };
  return { entry: { kind: "flow", ...(await findFlow(root, deployment.flow)) }, settings };
}

/** A folder of the state folder in use when the path says `.towpath/…`, else relative to the project. */
function layoutPath(root: string, a: { path: string; folder: StateFolder }): string {
  if (isAbsolute(a.path)) return a.path;
  const inState = relative(STATE_FOLDER_NAME, a.path);
  const isInState = !inState.startsWith("..") && !isAbsolute(inState);
  return isInState ? join(a.folder.root, inState) : resolve(root, a.path);
}

async function remoteUrl(root: string, a: { remote: string; environment: Environment }): Promise<string> {
  const args = ["remote", "get-url", "--", a.remote];
  const answer = await runGit({ args, cwd: root, environment: a.environment });
  if (answer.code === 0) return answer.stdout.trim();
  throw faulty(`The project's repository has no remote "${a.remote}".`, {
    next: ['`git remote -v` lists them; or write the address: `git("https://…")`'],
  });
}

type Environment = Readonly<Record<string, string | undefined>>;

async function registryOf(
  root: string,
  a: { config: ConfigShape; folder: StateFolder; environment: Environment },
): Promise<Registry> {
  const { registry = { kind: "oci-layout", name: "local", path: `${STATE_FOLDER_NAME}/registry` } } =
    a.config;
  if (registry.kind === "oci-layout")
    return { ...registry, path: layoutPath(root, { path: registry.path, folder: a.folder }) };
  const { remote = "origin", url, ...rest } = registry;
  return { ...rest, url: url ?? (await remoteUrl(root, { remote, environment: a.environment })) };
}

/** The patterns of files that belong to the code: the project's, else what all its commands ask for, else all. */
function patternsOf(config: ConfigShape): readonly string[] | undefined {
  if (config.files) return config.files;
  const commands = config.deployments.filter((one) => one.kind === "command");
  const asked = commands.map(({ options }) => options.files);
  return commands.length > 0 && asked.every((files) => files !== undefined) ? asked.flat() : undefined;
}

function checkNames(config: ConfigShape): void {
  const names = config.deployments.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw faulty(`Two deployments are called "${twice}".`, {
      next: ['give one another name: `deployment(flow, { name: "…" })`'],
    });
}

/**
 * Loads a project from its `towpath.config.ts`, which Node runs as it is.
 * @param a.folder The state folder in use: where `.towpath/…` paths of the configuration lead.
 * @throws Failure that names the field or file.
 */
export async function loadProject(
  root: string,
  a: { folder: StateFolder; environment: Environment },
): Promise<Project> {
  const config = await importConfig(root);
  checkNames(config);
  const deployments: ProjectDeployment[] = [];
  for (const deployment of config.deployments)
    deployments.push(await deploymentOf(root, { config, deployment }));
  const registry = await registryOf(root, { ...a, config });
  return { root, name: config.project, registry, files: patternsOf(config), deployments };
}
