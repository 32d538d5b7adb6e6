import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { removeWithUs } from "../harness/guard.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The previous release: the last commit whose migrations end at the baseline of `test/house/migrations.ts`. */
const EARLIER = "9d7d3f7727121b2b5d71696ccf15269b15172bee";

const git = (...args: string[]) =>
  execFileSync("git", args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });

/** Installed packages come from this tree. Links to the workspace's own packages are relative, so they lead into the tree that holds them. */
async function linkPackages(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isSymbolicLink()) await cp(source, target, { verbatimSymlinks: true });
    else if (entry.name === "@towpath") await linkPackages(source, target);
    else await symlink(source, target);
  }
}

/**
 * Writes the sources of the previous release into a folder, ready to run. Null if the git history does not reach back that far: the
 * tests are then skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export async function layOutEarlierRelease(): Promise<(AsyncDisposable & { readonly root: string }) | null> {
  try {
    git("cat-file", "-e", `${EARLIER}^{commit}`);
  } catch {
    const missing = `The test of an upgrade needs the release before (${EARLIER}) in the history: git fetch --unshallow.`;
    if (process.env.CI) throw new Error(missing);
    process.stderr.write(`SKIPPED: ${missing}\n`);
    return null;
  }
  const root = await mkdtemp(join(tmpdir(), "towpath-earlier-"));
  removeWithUs(root);
  const archive = join(root, "sources.tar");
  git("archive", "--format=tar", `--output=${archive}`, EARLIER, "package.json", "sdk", "services", "worker");
  execFileSync("tar", ["-xf", archive, "-C", root]);
  await linkPackages(join(ROOT, "node_modules"), join(root, "node_modules"));
  await linkPackages(join(ROOT, "sdk/cli/node_modules"), join(root, "sdk/cli/node_modules")).catch(() => {});
  return { root, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}
