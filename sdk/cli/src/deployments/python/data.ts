import { readFileSync } from "node:fs";
import { join } from "node:path";
import { closest, type Fault, type Json, JsonObject, parseDuration } from "@towpath/contract";
import {
  type Deployment,
  defineConfig,
  deployment,
  deploymentOptionNames,
  InvalidDefinition,
  type ProjectConfig,
  pythonFlow,
  type Registry,
} from "towpath/config";
import { Failure } from "../../failure.ts";

/** Data of a configuration: a table of TOML, or what `towpath_config.py` describes. */
export type Table = Readonly<Record<string, unknown>>;

/** A JSON Schema. */
type Schema = { [keyword: string]: Json };

/** Where data comes from. */
interface Source {
  readonly root: string;
  /** The file that a failure names. */
  readonly file: string;
  /** What stands before a field's path in that file: `tool.towpath.` in pyproject.toml. */
  readonly prefix: string;
}

/** A value that is not valid. */
class Wrong extends Error {
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** Whether a value is a table. */
export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function tableAt(path: string, value: unknown): Table {
  if (isTable(value)) return value;
  throw new Wrong(path, "must be a table");
}

function textAt(path: string, value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new Wrong(path, "must be a text");
}

const camel = (name: string) => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const snake = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
/** An option's name in Python: a length of time has no unit in its name. */
const pythonName = (name: string) => snake(name).replace(/_ms$/, "");

/** Lengths of time, by their names in Python. */
const DURATIONS = new Set([
  "timeout",
  "run_timeout",
  "kill_grace",
  "lost_after",
  "expire_after",
  "delay",
  "jitter",
  "catch_up_window",
]);
/** Tables whose keys are names that people choose. */
const FREE = new Set(["env", "parameters", "compute"]);

function milliseconds(path: string, value: unknown): number {
  if (typeof value === "number" && value >= 0) return Math.round(value * 1000);
  const ms = typeof value === "string" ? parseDuration(value) : null;
  if (ms !== null) return ms;
  throw new Wrong(path, 'write a length of time like "90s", "15m" or "1h30m"; a number means seconds');
}

function timingOf(path: string, value: unknown): Table {
  const { every, ...rest } = tableAt(path, value);
  if (every !== undefined)
    return { kind: "interval", everyMs: milliseconds(`${path}.every`, every), ...rest };
  return { kind: "rrule" in rest ? "rrule" : "cron", ...rest };
}

/** A value in the form of a spec: names in camel case, lengths of time in milliseconds. */
function specValue(path: string, key: string, value: unknown): unknown {
  if (key === "timing") return timingOf(path, value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((one, index) => specValue(`${path}.${index}`, "", one));
  if (!isTable(value) || FREE.has(key)) return value;
  return specTable(path, value);
}

function specTable(path: string, table: Table): Table {
  return Object.fromEntries(
    Object.entries(table).map(([key, value]) => {
      const at = `${path}.${key}`;
      return DURATIONS.has(key)
        ? [`${camel(key)}Ms`, milliseconds(at, value)]
        : [camel(key), specValue(at, key, value)];
    }),
  );
}

function checkNames(path: string, table: Table, known: readonly string[]): void {
  for (const key of Object.keys(table)) {
    if (known.includes(key)) continue;
    const near = closest(key, known);
    const advice = near === null ? `known: ${known.join(", ")}` : `did you mean "${near}"?`;
    throw new Wrong(path === "" ? key : `${path}.${key}`, `unknown option; ${advice}`);
  }
}

const COMMON = deploymentOptionNames()
  .filter((name) => name !== "name")
  .map(pythonName);
const FLOW_OPTIONS = [...COMMON, "flow", "parameters", "due_input", "interpreter", "codecs"];
const COMMAND_OPTIONS = [...COMMON, "command", "parameters", "interpreter"];

/** The JSON Schema of parameters: a table, or a JSON file of the project. */
export function schemaOf(path: string, value: unknown, { root }: Pick<Source, "root">): Schema | undefined {
  if (value === undefined) return undefined;
  if (isTable(value)) return JsonObject.parse(value);
  const file = textAt(path, value);
  try {
    return JsonObject.parse(JSON.parse(readFileSync(join(root, file), "utf8")));
  } catch {
    throw new Wrong(path, `${file} is no JSON file with the schema of an object`);
  }
}

/** A schema that is known only as JSON Schema. Runs are checked against it by the control plane. */
function declaredInput(schema: Schema) {
  return {
    "~standard": {
      version: 1 as const,
      vendor: "json-schema",
      validate: (value: unknown) => ({ value }),
      jsonSchema: { input: () => schema, output: () => schema },
    },
  };
}

function placeOf(path: string, value: unknown): { module: string; function: string } {
  const text = textAt(path, value);
  const [, module = "", name = ""] = /^(.+\.py):([^:]+)$/.exec(text) ?? [];
  if (module !== "") return { module, function: name };
  throw new Wrong(path, 'write the place of the flow as "flows/train.py:train"');
}

/** One deployment. @throws Wrong, InvalidDefinition */
function deploymentOf(name: string, value: unknown, source: Source): Deployment {
  const path = `deployments.${name}`;
  const table = tableAt(path, value);
  const isCommand = "command" in table;
  if (isCommand === "flow" in table) throw new Wrong(path, "needs `flow` or `command`, and not both");
  checkNames(path, table, isCommand ? COMMAND_OPTIONS : FLOW_OPTIONS);
  const { flow, command, parameters, interpreter, ...options } = table;
  const schema = schemaOf(`${path}.parameters`, parameters, source);
  const environment =
    interpreter === undefined
      ? {}
      : { environment: { kind: "interpreter", name: textAt(`${path}.interpreter`, interpreter) } as const };
  const common = { ...specTable(path, options), name };
  if (isCommand) {
    const argv = command as string[];
    return deployment({
      ...common,
      ...environment,
      command: argv,
      ...(schema && { input: declaredInput(schema) }),
    });
  }
  return pythonFlow({
    ...common,
    ...environment,
    ...placeOf(`${path}.flow`, flow),
    ...(schema && { parameters: schema }),
  });
}

/** The registries by the field that has their address, with their other fields in Python. */
const REGISTRIES = {
  oci_layout: { kind: "oci-layout", field: "path", name: "local", more: [] },
  oci: { kind: "oci", field: "url", name: "code", more: ["username", "password", "token_url"] },
  s3: {
    kind: "s3",
    field: "url",
    name: "code",
    more: ["endpoint", "region", "access_key_id", "secret_access_key", "session_token", "digest"],
  },
  archive: {
    kind: "archive",
    field: "url",
    name: "code",
    more: ["username", "password", "token", "push", "digest"],
  },
  npm: {
    kind: "npm",
    field: "url",
    name: "code",
    more: ["package", "token", "username", "password"],
  },
  git: { kind: "git", field: "url", name: "code", more: ["username", "password", "link"] },
} as const;

function registryOf(value: unknown): Registry {
  const table = tableAt("registry", value);
  const found = Object.entries(REGISTRIES).filter(([key]) => table[key] !== undefined);
  const [only] = found;
  if (only === undefined || found.length > 1) {
    const kinds = Object.keys(REGISTRIES).map((key) => `\`${key}\``);
    throw new Wrong("registry", `needs one of ${kinds.join(", ")} with its address or folder`);
  }
  const [key, { kind, field, name, more }] = only;
  const { [key]: place, ...rest } = table;
  checkNames("registry", rest, ["name", ...more]);
  const fields = Object.entries(rest).map(([field, one]) => [camel(field), one]);
  // `defineConfig` checks each field.
  return {
    kind,
    name,
    ...Object.fromEntries(fields),
    [field]: textAt(`registry.${key}`, place),
  } as unknown as Registry;
}

function stagesOf(value: unknown): NonNullable<ProjectConfig["stages"]> {
  const known = ["pool", "store", "pools", "env", "resources"];
  return Object.fromEntries(
    Object.entries(tableAt("stages", value)).map(([name, one]) => {
      const table = tableAt(`stages.${name}`, one);
      checkNames(`stages.${name}`, table, known);
      const { resources, ...rest } = table;
      const settings = Object.entries(
        resources === undefined ? {} : tableAt(`stages.${name}.resources`, resources),
      );
      const list = settings.map(([resource, given]) => ({ resource, settings: given }));
      return [name, { ...rest, ...(list.length > 0 && { resources: list as never }) }];
    }),
  );
}

/** The fields of a project beside its deployments. */
const PROJECT = [
  "project",
  "pool",
  "registry",
  "store",
  "files",
  "floor_lag",
  "expires_in_days",
  "environment",
  "stages",
  "deployments",
] as const;

function readProject(data: Table, source: Source): ProjectConfig {
  checkNames("", data, PROJECT);
  for (const field of ["project", "pool"] as const) textAt(field, data[field]);
  const { registry, stages, deployments, floor_lag: floorLag, expires_in_days: days, ...rest } = data;
  const named = Object.entries(tableAt("deployments", deployments ?? {}));
  return defineConfig({
    ...(rest as Pick<ProjectConfig, "project" | "pool" | "store" | "files" | "environment">),
    registry: registryOf(registry),
    deployments: named.map(([name, value]) => deploymentOf(name, value, source)),
    ...(floorLag !== undefined && { floorLag: floorLag as number }),
    ...(days !== undefined && { expiresInDays: days as number }),
    ...(stages !== undefined && { stages: stagesOf(stages) }),
  });
}

/** The lines of an error of the SDK, with names as Python writes them: `retry.delayMs` is `retry.delay`. */
function faultsIn(error: InvalidDefinition, { prefix }: Source): Fault[] {
  const [head = "", ...lines] = error.message.split("\n").map((line) => line.trim());
  const owner = /^deployment "(.+)" is not valid/.exec(head)?.[1];
  const start = `${prefix}${owner === undefined ? "" : `deployments.${owner}.`}`;
  return lines.map((line) => {
    const [, path = "", message = line] = /^([\w.]+): (.+)$/.exec(line) ?? [];
    return { path: `${start}${path.split(".").map(pythonName).join(".")}`, message };
  });
}

/**
 * A project from data: `[tool.towpath]` of pyproject.toml, or what `towpath_config.py` describes.
 * @throws Failure that names the file, every invalid field as that file writes it, and the closest known name.
 */
export function projectOf(data: Table, source: Source): ProjectConfig {
  const failure = (faults: readonly Fault[], cause: unknown) =>
    new Failure(`${source.file} is not valid.`, {
      exit: "configuration",
      code: "bad-config",
      faults,
      next: [`correct ${faults.length === 1 ? "the field" : "the fields"} in ${source.file}`],
      cause,
    });
  try {
    return readProject(data, source);
  } catch (error) {
    if (error instanceof Wrong)
      throw failure([{ path: `${source.prefix}${error.path}`, message: error.message }], error);
    if (!(error instanceof InvalidDefinition)) throw error;
    const faults = faultsIn(error, source);
    if (faults.length > 0) throw failure(faults, error);
    const said = error.message.replaceAll("towpath.config.ts", source.file);
    throw new Failure(said, { exit: "configuration", code: "bad-config", cause: error });
  }
}
