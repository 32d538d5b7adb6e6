import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BootstrapError } from "./failures.mjs";
import { runNpm } from "./npm.mjs";
import { ensureDiskSpace } from "./workspace.mjs";

const NEEDED_MIB = 900;

/**
 * Installs the packages in the lock file, unless they are installed.
 *
 * A stamp file in node_modules records the lock, the Node version and the platform of the last installation. Without a stamp (after an
 * `npm install` by hand), npm's own record is compared with the lock.
 */
export async function ensureInstalled({ root, node, screen }) {
  const lockText = await readFile(join(root, "package-lock.json"), "utf8").catch((cause) => {
    throw new BootstrapError(
      `${root} has no package-lock.json: it is not a whole checkout. Clone it again.`,
      { cause },
    );
  });
  const stampPath = join(root, "node_modules", ".towpath-install");
  const stamp = stampOf({ lockText, nodeVersion: node.version });
  if ((await readFile(stampPath, "utf8").catch(() => "")) === stamp) return;
  const installed = await readFile(join(root, "node_modules", ".package-lock.json"), "utf8").catch(
    () => undefined,
  );
  const stale = installed === undefined || !holdsLock(JSON.parse(installed), JSON.parse(lockText));
  if (stale) {
    await ensureDiskSpace(root, { neededMib: NEEDED_MIB, what: "Installing the packages" });
    const count = Object.keys(JSON.parse(lockText).packages).length;
    await screen.step(`Installing the packages of package-lock.json (up to ${count})`, () =>
      runNpm({ root, logName: "install.log", args: ["ci"], env: node.env }),
    );
  }
  await mkdir(join(root, "node_modules"), { recursive: true });
  await writeFile(stampPath, stamp);
}

/** What an installation depends on: the lock's text, Node's major version and the platform. */
export function stampOf({ lockText, nodeVersion, platform = `${process.platform}-${process.arch}` }) {
  const digest = createHash("sha256").update(lockText).digest("hex");
  return `${digest} node-${nodeVersion.split(".")[0]} ${platform}\n`;
}

/**
 * Whether an installation, as npm records it in node_modules/.package-lock.json, has every package that the lock file asks for on
 * this platform.
 */
export function holdsLock(installed, lock, { platform = process.platform, arch = process.arch } = {}) {
  const packages = Object.entries(lock.packages ?? {}).filter(([path]) => path !== "");
  return packages.every(([path, wanted]) => {
    const present = installed.packages?.[path];
    if (present !== undefined) {
      return present.version === wanted.version && present.integrity === wanted.integrity;
    }
    // npm leaves these out on purpose: binaries for other platforms, and packages that only those need.
    if (wanted.optional !== true) return false;
    const forHere = wanted.os?.includes(platform) && wanted.cpu?.includes(arch) && wanted.libc === undefined;
    return forHere !== true;
  });
}
