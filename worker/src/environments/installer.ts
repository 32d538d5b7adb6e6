import { delimiter, join } from "node:path";
import { EnvironmentError, type EnvironmentErrorCode } from "./environment-error.ts";
import type { Interpreter } from "./interpreters.ts";
import { runTool, type ToolResult } from "./run-tool.ts";

/** A package index, with the values of its credentials: an address, or a folder of wheels. */
export type OpenIndex = { readonly url: string } | { readonly folder: string };

/** What one installation needs. */
export interface Installation {
  readonly interpreter: Interpreter;
  /** The folder of the new environment. */
  readonly environment: string;
  /** The path of a file with the requirements that come as wheels. */
  readonly wheels: string;
  /** The path of a file with those that may be built from a source archive. Null: there are none. */
  readonly sources: string | null;
  readonly indexes: readonly OpenIndex[];
  /** An empty folder for temporary files. */
  readonly scratch: string;
  /** The cache of downloads. */
  readonly cache: string;
  /** Variables of the worker's environment for connections, such as HTTPS_PROXY, and its PATH. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** What the output of an installer means. The first match counts. */
const MEANINGS: readonly (readonly [RegExp, EnvironmentErrorCode, string])[] = [
  [/No space left on device|os error 28/i, "disk-full", "The disk is full."],
  [
    /DO NOT MATCH THE HASHES|Hash mismatch/i,
    "hash-mismatch",
    "A package of the environment has another hash than its lock says.",
  ],
  [
    /NewConnectionError|ConnectTimeout|ReadTimeout|Connection refused|Connection reset|Could not connect|name resolution|dns error|error sending request|timed out|HTTP status (?:server|5)|(?:50[0-9]|429) (?:Server|Client)? ?Error|Failed to fetch/i,
    "index-unreachable",
    "A package index does not answer.",
  ],
  [
    /No matching distribution|Could not find a version|no (?:usable )?wheels|has no wheels|no wheels with|Because .* (?:was not found|there (?:is|are) no)|building .* is disabled|No solution found/i,
    "no-wheel",
    "A package of the environment has no wheel for this platform and Python.",
  ],
];

/** The error for the output of an installer that failed. */
export function meaningOf({ output }: ToolResult): EnvironmentError {
  const [, code = "failed", what = "The environment could not be built."] =
    MEANINGS.find(([pattern]) => pattern.test(output)) ?? [];
  return new EnvironmentError(code, what, output);
}

/**
 * Makes an environment and installs the locked packages: only these, and only with a hash of the lock. Nothing is resolved. Only
 * the packages in `sources` may be built.
 * @throws EnvironmentError; the signal's reason.
 */
export async function install(args: Installation): Promise<void> {
  const uv = await works(args, ["uv", "--version"]);
  if (!uv && !(await works(args, [args.interpreter.path, "-m", "pip", "--version"])))
    throw new EnvironmentError(
      "no-installer",
      `Python ${args.interpreter.version} has no pip, and there is no uv.`,
    );
  await run(args, [args.interpreter.path, "-I", "-m", "venv", "--without-pip", args.environment]);
  const command = uv ? uvCommand(args) : pipCommand(args);
  const indexes = uv ? uvIndexes(args.indexes) : pipIndexes(args.indexes);
  await run(args, [...command, "--only-binary", ":all:", "-r", args.wheels], indexes);
  if (args.sources === null) return;
  // The tools of the lock are programs too.
  const PATH = [join(args.environment, "bin"), searched(args)].join(delimiter);
  await run(args, [...command, "--no-build-isolation", "-r", args.sources], { ...indexes, PATH });
}

/** Only what the lock names, and only with its hashes. */
const LOCKED = ["--require-hashes", "--no-deps"];

function uvCommand({ environment, indexes }: Installation): [string, ...string[]] {
  const words = ["pip", "install", "--python", join(environment, "bin/python"), "--link-mode", "clone"];
  // Not in a variable: uv reads none for this, and would ask the public index.
  const alone = indexes.some((index) => "url" in index) ? [] : ["--no-index"];
  return ["uv", ...words, ...alone, ...LOCKED];
}

function pipCommand({ interpreter, environment }: Installation): [string, ...string[]] {
  const words = ["-m", "pip", "--python", join(environment, "bin/python"), "install", "--no-compile"];
  return [interpreter.path, ...words, ...LOCKED];
}

/** The indexes for pip, in variables: arguments would show a password in the list of processes. */
function pipIndexes(indexes: readonly OpenIndex[]): Record<string, string> {
  const [first, ...more] = indexes.flatMap((index) => ("url" in index ? [index.url] : []));
  const folders = indexes.flatMap((index) => ("folder" in index ? [index.folder] : []));
  return {
    ...(first === undefined ? { PIP_NO_INDEX: "1" } : { PIP_INDEX_URL: first }),
    ...(more.length > 0 && { PIP_EXTRA_INDEX_URL: more.join(" ") }),
    ...(folders.length > 0 && { PIP_FIND_LINKS: folders.join(" ") }),
  };
}

function uvIndexes(indexes: readonly OpenIndex[]): Record<string, string> {
  const [first, ...more] = indexes.flatMap((index) => ("url" in index ? [index.url] : []));
  const folders = indexes.flatMap((index) => ("folder" in index ? [index.folder] : []));
  return {
    ...(first !== undefined && { UV_DEFAULT_INDEX: first }),
    ...(more.length > 0 && { UV_INDEX: more.join(" ") }),
    ...(folders.length > 0 && { UV_FIND_LINKS: folders.join(",") }),
    // Any index may have a package, for the hashes of the lock decide. By itself uv stops at the first index that knows its name.
    UV_INDEX_STRATEGY: "unsafe-best-match",
  };
}

/** The environment of an installer: no configuration of the user, no prompt, no download of interpreters. */
function environmentOf(args: Installation, more: Readonly<Record<string, string>>): Record<string, string> {
  return {
    ...args.env,
    PATH: searched(args),
    HOME: args.scratch,
    TMPDIR: args.scratch,
    LC_ALL: "C.UTF-8",
    PYTHONDONTWRITEBYTECODE: "1",
    PIP_CONFIG_FILE: "/dev/null",
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
    PIP_NO_INPUT: "1",
    PIP_NO_COLOR: "1",
    PIP_CACHE_DIR: args.cache,
    PIP_RETRIES: "2",
    PIP_TIMEOUT: "30",
    UV_NO_CONFIG: "1",
    UV_PYTHON_DOWNLOADS: "never",
    UV_CACHE_DIR: args.cache,
    // As pip: a company's own authority is known to the system only.
    UV_SYSTEM_CERTS: "1",
    UV_NATIVE_TLS: "1",
    UV_NO_PROGRESS: "1",
    NO_COLOR: "1",
    ...more,
  };
}

function searched({ env }: Installation): string {
  return env.PATH ?? ["/usr/local/bin", "/usr/bin", "/bin"].join(delimiter);
}

async function works(args: Installation, command: readonly [string, ...string[]]): Promise<boolean> {
  const { scratch: cwd, signal } = args;
  return (await runTool(command, { cwd, signal, env: environmentOf(args, {}) })).code === 0;
}

async function run(
  args: Installation,
  command: readonly [string, ...string[]],
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { scratch: cwd, signal } = args;
  const result = await runTool(command, { cwd, signal, env: environmentOf(args, more) });
  if (result.code !== 0) throw meaningOf(result);
}
