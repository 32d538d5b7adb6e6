import { createHash } from "node:crypto";
import { join } from "node:path";
import type { NodePackages } from "@towpath/contract";
import type { NpmOptions } from "towpath/config";
import { z } from "zod";
import { Failure } from "../failure.ts";
import { readIfThere } from "../kernel/state-folder.ts";
import type { CodeFile } from "./code-tree.ts";

/** The folder of the packages' manifest and lock, in the code. */
const FOLDER = "towpath.npm";
const LOCK = "package-lock.json";
/** The most packages that workers install for one project. */
const PACKAGES_MAX = 2_000;

const Names = z.record(z.string(), z.string()).default({});
const Entry = z.looseObject({
  name: z.string().optional(),
  version: z.string().optional(),
  integrity: z.string().optional(),
  link: z.boolean().optional(),
  inBundle: z.boolean().optional(),
  dependencies: Names,
  optionalDependencies: Names,
  peerDependencies: Names,
});
type Entry = z.output<typeof Entry>;
const Lock = z.looseObject({ lockfileVersion: z.int().min(2), packages: z.record(z.string(), Entry) });
const Manifest = z.looseObject({ overrides: z.record(z.string(), z.unknown()).optional() });

/** The fields of an entry that npm needs to install it. Without `resolved`, npm asks the worker's own registry. */
const KEPT = [
  "name",
  "version",
  "integrity",
  "inBundle",
  "bundleDependencies",
  "dependencies",
  "optionalDependencies",
  "peerDependencies",
  "peerDependenciesMeta",
  "bin",
  "engines",
  "os",
  "cpu",
  "libc",
  "hasInstallScript",
];

/** The packages that workers install for a project: what specs say of them, and the files that the code has. */
export interface ProjectPackages {
  readonly packages: NodePackages;
  /** The packages that bundles leave out. */
  readonly names: readonly string[];
  readonly files: readonly CodeFile[];
}

function faulty(code: string, message: string, next: string): Failure {
  return new Failure(message, { exit: "configuration", code, next: [next] });
}

/**
 * Reads the part of a project's `package-lock.json` that some packages need. The code gets it without addresses.
 * @throws Failure if the lock is missing, does not have a package, or has one that no registry has.
 */
export async function readNpmLock(
  root: string,
  { packages: names, scripts = [] }: NpmOptions,
): Promise<ProjectPackages> {
  const all = await readLock(root);
  const wanted = new Map(names.map((name) => [name, `node_modules/${name}`]));
  const missing = names.find((name) => all[`node_modules/${name}`] === undefined);
  if (missing !== undefined)
    throw faulty(
      "package-not-locked",
      `${LOCK} has no package ${missing}.`,
      `run \`npm install ${missing}\`, or correct \`npm.packages\``,
    );
  const needed = reachable(all, [...wanted.values()]);
  if (needed.size > PACKAGES_MAX)
    throw faulty(
      "too-many-packages",
      `\`npm.packages\` needs ${needed.size} packages, more than ${PACKAGES_MAX}.`,
      "list only packages with native code",
    );
  const unknown = scripts.find(
    (name) => ![...needed.keys()].some((path) => path.endsWith(`node_modules/${name}`)),
  );
  if (unknown !== undefined)
    throw faulty(
      "script-of-no-package",
      `\`npm.scripts\` names ${unknown}, which no package of \`npm.packages\` needs.`,
      "remove it, or correct its name",
    );
  const dependencies = Object.fromEntries([...wanted].map(([name, path]) => [name, rangeOf(all[path])]));
  const own = { name: "towpath-packages", version: "0.0.0" };
  const entries = [...needed].map(([path, isOptional]) => [path, kept(all, { path, isOptional })] as const);
  const lock = {
    ...own,
    lockfileVersion: 3,
    requires: true,
    packages: {
      "": { ...own, dependencies },
      ...Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))),
    },
  };
  const overrides = await overridesOf(root, names);
  const manifest = { ...own, private: true, dependencies, ...(overrides && { overrides }) };
  const [lockFile, manifestFile] = [asFile(LOCK, lock), asFile("package.json", manifest)];
  const digest = createHash("sha256").update(lockFile.bytes).digest("hex");
  return {
    packages: { folder: FOLDER, digest, scripts: [...scripts] },
    names,
    files: [manifestFile, lockFile],
  };
}

async function readLock(root: string): Promise<Readonly<Record<string, Entry>>> {
  const text = await readIfThere(join(root, LOCK));
  if (text === null)
    throw faulty(
      "no-npm-lock",
      `There is no ${LOCK} in ${root}, which \`npm.packages\` needs.`,
      "run `npm install` there",
    );
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    data = null;
  }
  const parsed = Lock.safeParse(data);
  if (!parsed.success)
    throw faulty(
      "bad-npm-lock",
      `${LOCK} is no lock of npm 7 or later.`,
      "run `npm install` to write it anew",
    );
  return parsed.data.packages;
}

type Entries = Readonly<Record<string, Entry>>;

/** Where a dependency of a package lies: beside it, or in a folder above, as Node looks for it. */
function locate(all: Entries, from: string, name: string): string | null {
  for (let at = from; ; at = at.slice(0, Math.max(at.lastIndexOf("/node_modules/"), 0))) {
    const path = at === "" ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (all[path] !== undefined) return path;
    if (at === "") return null;
  }
}

/** The paths of packages and all that they need, each with whether it may be missing on a platform. */
function reachable(all: Entries, roots: readonly string[]): Map<string, boolean> {
  const found = new Map<string, boolean>();
  const visit = (path: string, isOptional: boolean) => {
    const before = found.get(path);
    if (before === false || before === isOptional) return;
    found.set(path, isOptional);
    const entry = all[path];
    if (entry === undefined) return;
    check(path, entry);
    const optional = { ...entry.peerDependencies, ...entry.optionalDependencies };
    for (const name of Object.keys({ ...entry.dependencies, ...optional })) {
      const mayMiss = Object.hasOwn(optional, name);
      const there = locate(all, path, name);
      if (there !== null) visit(there, isOptional || Object.hasOwn(entry.optionalDependencies, name));
      else if (!mayMiss)
        throw faulty(
          "stale-npm-lock",
          `${LOCK} has no package ${name}, which ${path} needs.`,
          "run `npm install`, and deploy again",
        );
    }
  };
  for (const path of roots) visit(path, false);
  return found;
}

/** Only what a registry has, and only with its hash. What a package brings in its own archive has that hash. */
function check(path: string, { link, integrity, inBundle, version }: Entry): void {
  if (link !== true && version !== undefined && (integrity !== undefined || inBundle === true)) return;
  throw faulty(
    "package-not-in-registry",
    `${path} in ${LOCK} is not a package of a registry with a hash.`,
    "publish it to the registry of your workers, or leave it in the bundle",
  );
}

function rangeOf(entry: Entry | undefined): string {
  const { name, version = "" } = entry ?? {};
  return name === undefined ? version : `npm:${name}@${version}`;
}

function kept(all: Entries, { path, isOptional }: { path: string; isOptional: boolean }): object {
  const entry: Readonly<Record<string, unknown>> = all[path] ?? {};
  const fields = KEPT.flatMap((field) => {
    const value = entry[field];
    const isEmpty =
      value === undefined || (typeof value === "object" && Object.keys(Object(value)).length === 0);
    return isEmpty ? [] : [[field, value] as const];
  });
  return { ...Object.fromEntries(fields), ...(isOptional && { optional: true }) };
}

/** npm compares a lock with the overrides that made it. */
async function overridesOf(root: string, names: readonly string[]): Promise<object | null> {
  const text = await readIfThere(join(root, "package.json"));
  const { overrides } = Manifest.parse(text === null ? {} : JSON.parse(text));
  const others = Object.entries(overrides ?? {}).filter(([name]) => !names.includes(name));
  return others.length === 0 ? null : Object.fromEntries(others);
}

function asFile(name: string, content: object): CodeFile {
  const bytes = new TextEncoder().encode(`${JSON.stringify(content, null, 2)}\n`);
  return { path: `${FOLDER}/${name}`, bytes, executable: false };
}
