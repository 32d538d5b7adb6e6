import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Context } from "@towpath/contract";
import { StoreFault } from "../problem.ts";
import type { ListedObject, Objects } from "./objects.ts";
import { PackFiles } from "./pack-files.ts";
import { type Store, storeOver } from "./store.ts";

/**
 * Opens the objects of the store that a worker names: a folder, or a place in a bucket.
 * @throws StoreFault for a root of another kind.
 */
export async function openObjects({ root, s3 }: Context["store"]): Promise<Objects> {
  if (root.startsWith("file:")) return fileObjects(root);
  if (root.startsWith("s3:") && s3 !== undefined) {
    // Signing and the client of the web take a while to load: only who has a bucket pays for it.
    const { s3Objects } = await import("./s3-store.ts");
    return s3Objects(root, s3);
  }
  throw new StoreFault(`${root} is no store that this release knows.`, {
    next: "Give the worker a folder, or s3://bucket/prefix, as its store.root.",
  });
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Whole and on disk, or not there at all. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomUUID()}.tmp`;
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

function pathOf(uri: string): string {
  try {
    return fileURLToPath(uri);
  } catch (cause) {
    throw new StoreFault(`${uri} is no file: URL, and this store keeps files.`, { cause });
  }
}

async function realPathOf(path: string, uri: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    throw new StoreFault(`There is nothing at ${uri}.`, { cause });
  }
}

/** Follows links first: a link inside the root may point out of it. */
async function insideRoot(realRoot: string, uri: string): Promise<string> {
  const path = await realPathOf(pathOf(uri), uri);
  if (path.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep)) return path;
  throw new StoreFault(`${uri} lies outside of the store.`, {
    next: "Only refs that ctx.save of this store answered can be loaded.",
  });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

function notTended(folder: string, cause: unknown): StoreFault {
  return new StoreFault(`What lies in ${folder} could not be read or removed: ${String(cause)}`, {
    cause,
    next: "Check the folder's permissions, and do it as the worker's user.",
  });
}

async function* listFiles(folder: string, path: string): AsyncGenerator<ListedObject> {
  const entries = await readdir(join(folder, path), { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw notTended(join(folder, path), error);
  });
  for (const entry of entries) {
    const inside = path === "" ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory()) yield* listFiles(folder, inside);
    else if (entry.isFile()) {
      const { size, mtimeMs } = await stat(join(folder, inside));
      yield { path: inside, sizeBytes: size, modifiedAtMs: mtimeMs };
    }
  }
}

/** Folders that became empty go too, up to the root. */
async function removeFile(folder: string, path: string): Promise<void> {
  await rm(join(folder, path), { force: true });
  for (let parent = dirname(path); parent !== "."; parent = dirname(parent)) {
    try {
      await rmdir(join(folder, parent));
    } catch {
      // Not empty, or gone already: what is above it is not empty either, or somebody else's to remove.
      return;
    }
  }
}

function notKept(path: string, cause: unknown): StoreFault {
  return new StoreFault(`Nothing could be kept at ${path}: ${String(cause)}`, {
    cause,
    next: "Check the folder's permissions and free space.",
  });
}

/**
 * Objects as files in a local folder, which is made when first needed. Files are written aside, synced and renamed.
 * @param root A `file:` URL.
 */
export function fileObjects(root: string): Objects {
  const folder = pathOf(root);
  const placeOf = (relative: string) => join(folder, ...relative.split("/"));
  const packs = new PackFiles(folder, syncFolder);
  let realRoot: string | null = null;
  return {
    uriOf: (relative) => pathToFileURL(placeOf(relative)).href,
    async write(relative, bytes) {
      const path = placeOf(relative);
      try {
        await writeWhole(path, bytes);
      } catch (cause) {
        throw notKept(path, cause);
      }
      return pathToFileURL(path).href;
    },
    async append(relative, bytes) {
      try {
        return await packs.append(relative, bytes);
      } catch (cause) {
        throw notKept(placeOf(relative), cause);
      }
    },
    async sync() {
      try {
        await packs.sync();
      } catch (cause) {
        throw notKept(folder, cause);
      }
    },
    async read(uri, mostBytes) {
      realRoot ??= await realPathOf(folder, pathToFileURL(folder).href);
      const path = await insideRoot(realRoot, uri);
      const { size } = await stat(path);
      // A larger file is not read at all: it could be of any size.
      if (size > mostBytes)
        throw new StoreFault(`${uri} is not what was saved there: it is ${size} bytes long.`);
      return new Uint8Array(await readFile(path));
    },
    list: (path) => listFiles(folder, path),
    async remove(paths) {
      for (const path of paths)
        await removeFile(folder, path).catch((cause: unknown) => Promise.reject(notTended(folder, cause)));
    },
  };
}

/** A store in a local folder. @param root A `file:` URL. */
export function fileStore(root: string): Store {
  return storeOver(fileObjects(root));
}
