import { existsSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { z } from "zod";
import { readIfThere } from "../kernel/state-folder.ts";
import { VERSION } from "../version.ts";

/** npm's record of an installation. */
const Installed = z.looseObject({
  packages: z.record(z.string(), z.looseObject({ resolved: z.string().optional() })),
});

const BELOW_MODULES = `${sep}node_modules${sep}towpath${sep}`;
const FILE = "file:";

/** The file that this command was installed from. Null if it came from a registry. */
async function installedFrom(place: string): Promise<string | null> {
  const project = place.slice(0, place.lastIndexOf(BELOW_MODULES));
  const text = await readIfThere(join(project, "node_modules", ".package-lock.json"));
  const noted = Installed.safeParse(text === null ? null : JSON.parse(text));
  const from = noted.success ? noted.data.packages["node_modules/towpath"]?.resolved : undefined;
  return from?.startsWith(FILE) ? resolve(project, from.slice(FILE.length)) : null;
}

/** The repository of this command's sources. Null outside a repository. */
function repositoryOf(place: string): string | null {
  for (let folder = place; folder !== dirname(folder); folder = dirname(folder))
    if (existsSync(join(folder, "infra", "package", "pack.ts"))) return folder;
  return null;
}

/** Where a new project gets Towpath from. */
export interface Origin {
  /** For `dependencies` of its package.json. */
  readonly specifier: string;
  /** The command to run before `npm install` can find it. */
  readonly before: string | null;
}

/**
 * Where a project in `root` gets the release of this command: from the file that the command was installed from or can be
 * packed into, else from npm's registry.
 * @param place The folder of this command's own code.
 */
export async function originFor(root: string, place: string): Promise<Origin> {
  const toFile = (path: string) => `${FILE}${relative(root, path).split(sep).join("/")}`;
  if (place.includes(BELOW_MODULES)) {
    const file = await installedFrom(place);
    return { specifier: file === null ? `^${VERSION}` : toFile(file), before: null };
  }
  const repository = repositoryOf(place);
  if (repository === null) return { specifier: `^${VERSION}`, before: null };
  const packed = join(repository, "dist", `towpath-${VERSION}.tgz`);
  const before = existsSync(packed) ? null : `npm run pack --prefix ${repository}`;
  return { specifier: toFile(packed), before };
}
