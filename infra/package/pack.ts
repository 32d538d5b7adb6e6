/**
 * Builds the published package, one tarball: the SDK, the command, and the programs that the command starts.
 * With --wheel also the packages for Python, for this platform or the given ones.
 * Usage: node infra/package/pack.ts [FOLDER] [--wheel [--platform linux-arm64]...]   (default: dist/)
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { bundlePrograms } from "./bundle.ts";
import { writeDeclarations } from "./declarations.ts";
import { PackageFault } from "./fault.ts";
import { type Manifest, packageManifest } from "./manifest.ts";
import { thirdPartyNotices } from "./notices.ts";
import { packWheels } from "./wheel.ts";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");

async function copyDashboard(control: string): Promise<void> {
  const built = join(ROOT, "services", "dashboard", "dist");
  const files = await readdir(built).catch((): string[] => []);
  if (!files.includes("index.html"))
    throw new PackageFault("The dashboard has not been built: `npm run build` first.");
  const filter = (path: string) => !path.endsWith(".map");
  await cp(built, join(control, "dashboard"), { recursive: true, filter });
}

/** The worker gives its own package for Python to environments that have none. */
async function copyPython(folder: string): Promise<void> {
  const filter = (path: string) => !path.includes("__pycache__");
  await cp(join(ROOT, "sdk", "python", "src"), folder, { recursive: true, filter });
}

/** Writes the package's files into a folder, as they will be installed. */
async function layOut(folder: string, manifest: Manifest): Promise<void> {
  const dist = join(folder, "dist");
  const control = join(dist, "control");
  await mkdir(join(ROOT, ".cache"), { recursive: true });
  const [inputs] = await Promise.all([
    bundlePrograms({ root: ROOT, dist, manifest }),
    writeDeclarations({ root: ROOT, types: join(dist, "types") }),
    copyDashboard(control),
    copyPython(join(dist, "worker", "python")),
    cp(join(import.meta.dirname, "bin.mjs"), join(dist, "cli", "bin.mjs")),
    cp(join(ROOT, "services", "control", "migrations"), join(control, "migrations"), { recursive: true }),
  ]);
  await writeFile(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  await writeFile(join(folder, "THIRD-PARTY-NOTICES"), thirdPartyNotices({ root: ROOT, inputs }));
  await cp(join(ROOT, "LICENSE"), join(folder, "LICENSE"));
  await cp(join(import.meta.dirname, "README.md"), join(folder, "README.md"));
}

/** @returns The paths of the tarball and of the wheels. */
async function pack(out: string, platforms: readonly string[]): Promise<string[]> {
  const manifest = packageManifest(ROOT);
  const folder = join(out, manifest.name);
  await rm(folder, { recursive: true, force: true });
  await layOut(folder, manifest);
  await run("npm", ["pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", out], {
    cwd: folder,
  });
  const tarball = join(out, `${manifest.name}-${manifest.version}.tgz`);
  if (platforms.length === 0) return [tarball];
  return [tarball, ...(await packWheels({ root: ROOT, out, npmPackage: folder, manifest, platforms }))];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { wheel: { type: "boolean", default: false }, platform: { type: "string", multiple: true } },
});
const chosen = values.platform ?? [`${process.platform}-${process.arch}`];
try {
  const out = resolve(positionals[0] ?? join(ROOT, "dist"));
  const paths = await pack(out, values.wheel ? chosen : []);
  console.log(paths.map((path) => relative(process.cwd(), path)).join("\n"));
} catch (error) {
  if (!(error instanceof PackageFault)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
