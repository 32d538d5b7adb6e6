import { existsSync } from "node:fs";
import { join } from "node:path";
import { parse, TomlError } from "smol-toml";
import type { ProjectConfig } from "towpath/config";
import { Failure } from "../../failure.ts";
import { readIfThere } from "../../kernel/state-folder.ts";
import { isTable, projectOf, type Table } from "./data.ts";
import { type DescribeRequest, type Description, describePython } from "./describe.ts";

/** The files that may describe a project. */
export const CONFIG_FILES = {
  typescript: "towpath.config.ts",
  python: "towpath_config.py",
  data: "pyproject.toml",
} as const;

/** How a project is described: in code, or as data in `[tool.towpath]`. */
export type ConfigKind = keyof typeof CONFIG_FILES;

/** The configuration of a folder. */
export interface FoundConfig {
  readonly kind: ConfigKind;
  /** `[tool.towpath]`. Beside a configuration in code it has only declared parameters. */
  readonly data: Table;
}

function faulty(message: string, next: readonly string[], cause?: unknown): Failure {
  return new Failure(message, { exit: "configuration", code: "bad-config", next, cause });
}

/** `[tool.towpath]` of a folder's pyproject.toml. Null: there is none. @throws Failure with the line of a syntax error. */
async function readTable(root: string): Promise<Table | null> {
  const text = await readIfThere(join(root, CONFIG_FILES.data));
  if (text === null) return null;
  try {
    const { tool } = parse(text);
    const table = isTable(tool) ? tool.towpath : undefined;
    return isTable(table) ? table : null;
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [said = ""] = error.message.replace("Invalid TOML document: ", "").split("\n");
    throw faulty(
      `${CONFIG_FILES.data} is no valid TOML: line ${error.line}, column ${error.column}: ${said}.`,
      [`correct ${CONFIG_FILES.data}`],
      error,
    );
  }
}

/** Refuses fields of `[tool.towpath]` that a configuration in code decides. */
function checkBeside(data: Table, kind: "typescript" | "python"): void {
  const stray = Object.entries(data).flatMap(([field, value]) => {
    if (field === "python") return [];
    if (field !== "deployments" || !isTable(value)) return [field];
    return Object.entries(value).flatMap(([name, one]) =>
      Object.keys(isTable(one) ? one : {})
        .filter((option) => option !== "parameters")
        .map((option) => `deployments.${name}.${option}`),
    );
  });
  const [first] = stray;
  if (first === undefined) return;
  const file = CONFIG_FILES[kind];
  throw faulty(
    `The project is described twice: in ${file}, and by tool.towpath.${first} in ${CONFIG_FILES.data}.`,
    [
      `move tool.towpath.${first} to ${file}; beside it, pyproject.toml may have declared \`parameters\` only`,
      `or delete ${file}, and describe the whole project in [tool.towpath]`,
    ],
  );
}

/**
 * Finds the configuration of a folder.
 * @returns Null if the folder has none.
 * @throws Failure if it has two, or if pyproject.toml cannot be read.
 */
export async function findConfig(root: string): Promise<FoundConfig | null> {
  const inCode = (["typescript", "python"] as const).filter((kind) =>
    existsSync(join(root, CONFIG_FILES[kind])),
  );
  if (inCode.length === 2)
    throw faulty(
      `The project has two configurations: ${CONFIG_FILES.typescript} and ${CONFIG_FILES.python}.`,
      [
        `keep one: ${CONFIG_FILES.typescript} may list flows in Python with \`pythonFlow({ module, function })\``,
      ],
    );
  const data = await readTable(root);
  const [kind] = inCode;
  if (kind === undefined) return data === null ? null : { kind: "data", data };
  if (data !== null) checkBeside(data, kind);
  return { kind, data: data ?? {} };
}

/** The file that a failure about a configuration names. */
export function fileOf({ kind }: FoundConfig): string {
  return CONFIG_FILES[kind];
}

/** A project in Python or data, and its flows if they were imported. */
export interface PythonProject {
  readonly config: ProjectConfig;
  readonly description: Description | null;
}

/**
 * Reads a project from `towpath_config.py`, with its flows, or from `[tool.towpath]`.
 * @throws Failure that names the file, the field and the next step.
 */
export async function readPythonProject(
  root: string,
  found: FoundConfig,
  { imports }: Pick<DescribeRequest, "imports">,
): Promise<PythonProject> {
  if (found.kind === "data") {
    const source = { root, file: CONFIG_FILES.data, prefix: "tool.towpath." };
    return { config: projectOf(found.data, source), description: null };
  }
  const file = CONFIG_FILES.python;
  const description = await describePython(root, { config: file, flows: [], imports });
  const config = projectOf(description.config ?? {}, { root, file, prefix: "" });
  return { config, description };
}

/** The declared parameters of a deployment in `[tool.towpath]`, for a configuration in code. */
export function declaredParameters({ data }: FoundConfig, name: string): unknown {
  const { deployments } = data;
  const one = isTable(deployments) && Object.hasOwn(deployments, name) ? deployments[name] : undefined;
  return isTable(one) ? one.parameters : undefined;
}
