import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import type { NodePackages } from "@towpath/contract";
import { z } from "zod";
import { bringTree, type FetchedCode, holdTree } from "../code/index.ts";
import type { NpmConfig } from "../config.ts";
import { readSecret } from "../secrets/index.ts";
import { EnvironmentError, type EnvironmentErrorCode } from "./environment-error.ts";
import { BUILD_MS, type EnvironmentDeps, keepWithin } from "./environments.ts";
import { runTool, type ToolResult } from "./run-tool.ts";

const LOCK = "package-lock.json";
const MANIFEST = "package.json";
/** The most bytes and packages of a lock. */
const LOCK_BYTES_MAX = 16 * 1024 * 1024;
const PACKAGES_MAX = 2_000;

/** npm also follows addresses, links and git repositories in a lock, so only packages with a hash are let through. */
const Locked = z.object({
  lockfileVersion: z.literal(3),
  packages: z.record(
    z.string(),
    z.looseObject({
      version: z.string(),
      integrity: z
        .string()
        .regex(/^sha(512|384|256)-[A-Za-z0-9+/=]+( sha(512|384|256)-[A-Za-z0-9+/=]+)*$/)
        .optional(),
      inBundle: z.boolean().optional(),
      resolved: z.never().optional(),
      link: z.never().optional(),
    }),
  ),
});

/** What the output of npm means. The first match counts. */
const MEANINGS: readonly (readonly [RegExp, EnvironmentErrorCode, string])[] = [
  [/ENOSPC|No space left on device/i, "disk-full", "The disk is full."],
  [/EINTEGRITY/, "hash-mismatch", "A package has another hash than its lock says."],
  [
    /ENOTCACHED|\bE404\b|ETARGET|\b404 Not Found/,
    "missing-package",
    "The worker's npm registry does not have a package.",
  ],
  [
    /ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT|\bE5\d\d\b|\bE429\b|\bE401\b|\bE403\b|CERT_|SELF_SIGNED|UNABLE_TO_/,
    "index-unreachable",
    "The worker's npm registry does not answer, or refuses the worker.",
  ],
  [/EUSAGE|can only install packages when/, "bad-lock", "The packages' lock does not match their manifest."],
];

function meaningOf({ output }: ToolResult): EnvironmentError {
  const [, code = "failed", what = "The packages could not be installed."] =
    MEANINGS.find(([pattern]) => pattern.test(output)) ?? [];
  return new EnvironmentError(code, what, output);
}

/** The name of installed packages in the cache: their lock, the scripts that ran, Node and the platform. */
function packagesKey({ digest, scripts }: NodePackages): string {
  const { version, platform, arch } = process;
  const parts = [digest, [...scripts].sort(), version, platform, arch];
  return `npm-${createHash("sha256").update(JSON.stringify(parts)).digest("hex")}`;
}

/**
 * Finds the installed packages of a lock, or installs them. Attempts that need the same ones share the work.
 * @param args.codeDir The folder of the code with the manifest and the lock.
 * @throws EnvironmentError; SecretUnavailable for the registry's login; CodeError when the cache cannot be written; the signal's reason.
 */
export async function bringPackages(
  deps: EnvironmentDeps,
  args: {
    packages: NodePackages;
    codeDir: string;
    signal: AbortSignal;
    onBuild?: (packages: number) => void;
  },
): Promise<FetchedCode> {
  const { packages, codeDir, signal } = args;
  if (deps.buildsSources === false && packages.scripts.length > 0)
    throw new EnvironmentError(
      "no-scripts",
      "A package must run an install script, which this worker does not do, because it separates its runs.",
    );
  const brought = await bringTree(
    deps.cache,
    {
      key: packagesKey(packages),
      async make({ treeDir, scratchDir, signal: given }) {
        const { npm } = deps.config;
        if (npm === null)
          throw new EnvironmentError(
            "no-npm-registry",
            "The flow needs npm packages, and this worker has no npm registry.",
          );
        const count = await checkLock(packages, codeDir);
        args.onBuild?.(count);
        for (const name of [MANIFEST, LOCK])
          await copyFile(join(codeDir, packages.folder, name), join(treeDir, name));
        await install(deps, { npm, packages, dir: treeDir, scratch: scratchDir, signal: given });
      },
    },
    signal,
  );
  if (!brought.cached) void keepWithin(deps);
  return brought;
}

/** Keeps packages from being removed, whether or not they are there yet. @returns A function that ends the use. */
export async function holdPackages(
  { cache }: Pick<EnvironmentDeps, "cache">,
  packages: NodePackages,
): Promise<() => Promise<void>> {
  return await holdTree(cache, packagesKey(packages));
}

/** @returns How many packages it has, of all platforms. @throws EnvironmentError `bad-lock` */
async function checkLock({ folder, digest }: NodePackages, codeDir: string): Promise<number> {
  const bytes = await readFile(join(codeDir, folder, LOCK)).catch(() => null);
  if (bytes === null) throw new EnvironmentError("bad-lock", `The code has no ${LOCK} for its packages.`);
  if (createHash("sha256").update(bytes).digest("hex") !== digest)
    throw new EnvironmentError("bad-lock", `The ${LOCK} is not the one that was signed.`);
  if (bytes.length > LOCK_BYTES_MAX)
    throw new EnvironmentError("bad-lock", `The ${LOCK} has more than ${LOCK_BYTES_MAX} bytes.`);
  const parsed = Locked.safeParse(parsedJson(bytes));
  if (!parsed.success)
    throw new EnvironmentError("bad-lock", `The ${LOCK} has an entry that is no package of a registry.`);
  const { "": _, ...entries } = parsed.data.packages;
  const paths = Object.entries(entries);
  if (paths.length > PACKAGES_MAX)
    throw new EnvironmentError("bad-lock", `The ${LOCK} has more than ${PACKAGES_MAX} packages.`);
  const wrong = paths.findIndex(
    ([path, { integrity, inBundle }]) =>
      !path.startsWith("node_modules/") ||
      path.split("/").includes("..") ||
      (integrity === undefined && inBundle !== true),
  );
  if (wrong >= 0)
    throw new EnvironmentError(
      "bad-lock",
      `Package ${wrong + 1} of the ${LOCK} has no hash, or another place than node_modules.`,
    );
  return paths.length;
}

function parsedJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return null;
  }
}

interface Installation {
  readonly npm: NpmConfig;
  readonly packages: NodePackages;
  readonly dir: string;
  readonly scratch: string;
  readonly signal: AbortSignal;
}

async function install(deps: EnvironmentDeps, args: Installation): Promise<void> {
  const { buildMs = BUILD_MS } = deps;
  const late = AbortSignal.timeout(buildMs);
  const signal = AbortSignal.any([args.signal, late]);
  try {
    const env = await environmentOf(deps, args);
    const run = async (...words: string[]) => {
      const result = await runTool(["npm", ...words], { cwd: args.dir, env, signal });
      if (result.code === null && result.output === "")
        throw new EnvironmentError("no-npm", "This worker has no npm.");
      if (result.code !== 0) throw meaningOf(result);
    };
    await run("ci", "--ignore-scripts");
    if (args.packages.scripts.length > 0)
      await run("rebuild", "--ignore-scripts=false", "--foreground-scripts", "--", ...args.packages.scripts);
  } catch (error) {
    if (late.aborted && !args.signal.aborted)
      throw new EnvironmentError(
        "timeout",
        `The packages were not installed within ${Math.round(buildMs / 1000)} s.`,
      );
    throw error;
  }
}

/** npm's settings, in files and variables: no configuration of the user, and no address but that of the registry. */
async function environmentOf(
  deps: EnvironmentDeps,
  { npm, scratch }: Pick<Installation, "npm" | "scratch">,
): Promise<Record<string, string>> {
  const cache = npm.cache ?? join(deps.downloads, "npm");
  if (npm.cache === undefined) await mkdir(cache, { recursive: true, mode: 0o700 });
  const file = join(scratch, "npmrc");
  await writeFile(file, await loginOf(deps, npm), { mode: 0o600 });
  // The npm that came with this Node, else that of the PATH, and always this Node: native code is built for it.
  const PATH = [dirname(process.execPath), deps.env.PATH ?? "/usr/local/bin:/usr/bin:/bin"].join(delimiter);
  return {
    ...deps.env,
    PATH,
    HOME: scratch,
    TMPDIR: scratch,
    LC_ALL: "C.UTF-8",
    npm_config_userconfig: file,
    npm_config_globalconfig: "/dev/null",
    npm_config_cache: cache,
    npm_config_omit: "dev",
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_update_notifier: "false",
    npm_config_progress: "false",
    npm_config_color: "false",
    npm_config_logs_max: "0",
    npm_config_fetch_retries: "2",
    npm_config_fetch_retry_mintimeout: "1000",
    npm_config_fetch_retry_maxtimeout: "5000",
    npm_config_fetch_timeout: "60000",
    npm_config_registry: npm.registry,
    ...(npm.cache !== undefined && { npm_config_offline: "true" }),
  };
}

/** The login of a registry as npm's configuration has it, for this address alone. */
async function loginOf(
  { config }: EnvironmentDeps,
  { registry, login, token, cache }: NpmConfig,
): Promise<string> {
  if (cache !== undefined) return "";
  const { host, pathname } = new URL(registry);
  const at = `//${host}${pathname.replace(/\/*$/, "/")}`;
  const read = (what: string, source: NonNullable<typeof token>) =>
    readSecret(config, { name: `the ${what} of the npm registry`, source });
  if (token !== undefined) return `${at}:_authToken=${quoted(await read("token", token))}\n`;
  if (login === undefined) return "";
  const password = await read("password", login.password);
  return `${at}:_auth=${Buffer.from(`${login.username}:${password}`).toString("base64")}\n`;
}

/** npm replaces `${NAME}` in its configuration, and takes a quoted value as JSON. */
function quoted(value: string): string {
  if (/\$\{/.test(value))
    throw new EnvironmentError("index-unreachable", "The npm registry's token has the characters ${.");
  return JSON.stringify(value);
}
