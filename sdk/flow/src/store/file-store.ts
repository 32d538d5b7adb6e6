import { randomUUID } from "node:crypto";
import { open, readdir, readFile, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Context } from "@towpath/contract";
import { StoreFault } from "../problem.ts";
import { hashesOf } from "./hashes.ts";
import { type Modes, makeFolders, type Sharing, sharingOf } from "./modes.ts";
import type { ListedObject, Objects } from "./objects.ts";
import { PackFiles } from "./pack-files.ts";
import { type Store, storeOver } from "./store.ts";

/**
 * Opens a worker's store: a folder, or a prefix in a bucket.
 * @throws StoreFault for another kind of root.
 */
export async function openObjects({ root, s3 }: Context["store"]): Promise<Objects> {
  if (root.startsWith("file:")) return fileObjects(root);
  if (root.startsWith("s3:") && s3 !== undefined) {
    // Loaded only for a bucket, because it is slow to load.
    const { s3Objects } = await import("./s3-store.ts");
    return s3Objects(root, s3);
  }
  throw new StoreFault(`${root} is not a kind of store that this release supports.`, {
    next: "Give the worker a folder, or s3://bucket/prefix, as its store.root.",
  });
}

/**
 * Opens the store of a run, with the hash keys that the worker gave it.
 * @throws StoreFault as `openObjects`
 */
export async function openStore(given: Context["store"]): Promise<Store> {
  const { hashKeys, roundSizes = false } = given;
  return storeOver(await openObjects(given), { hashes: hashesOf(hashKeys), roundSizes });
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Writes a file completely and syncs it, or not at all. */
async function writeWhole(path: string, bytes: Uint8Array, modes: Modes): Promise<void> {
  await makeFolders(dirname(path), modes);
  const temporary = `${path}.${randomUUID()}.tmp`;
  const file = await open(temporary, "wx", modes.file);
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
    throw new StoreFault(`${uri} is not a file: URL, but this store is a folder.`, { cause });
  }
}

async function realPathOf(path: string, uri: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    throw new StoreFault(`There is no value at ${uri}.`, { cause });
  }
}

function isInside(realRoot: string, path: string): boolean {
  return path.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep);
}

function outside(uri: string): StoreFault {
  return new StoreFault(`${uri} is outside of the store.`, {
    next: "Only refs that ctx.save returned for this store can be loaded.",
  });
}

/** Resolves links first, because a link inside the root may lead out of it. */
async function insideRoot(realRoot: string, uri: string): Promise<string> {
  const path = await realPathOf(pathOf(uri), uri);
  if (isInside(realRoot, path)) return path;
  throw outside(uri);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

function notTended(folder: string, cause: unknown): StoreFault {
  return new StoreFault(`Files in ${folder} could not be read or removed: ${String(cause)}`, {
    cause,
    next: "Check the folder's permissions, and run the command as the worker's user.",
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

/** Removes a file and the folders that become empty, up to the root. */
async function removeFile(folder: string, path: string): Promise<void> {
  await rm(join(folder, path), { force: true });
  for (let parent = dirname(path); parent !== "."; parent = dirname(parent)) {
    try {
      await rmdir(join(folder, parent));
    } catch {
      // Not empty or already removed: the folders above stay.
      return;
    }
  }
}

function notKept(path: string, cause: unknown): StoreFault {
  return new StoreFault(`Nothing could be stored at ${path}: ${String(cause)}`, {
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
  let sharing: Promise<Sharing> | undefined;
  const modesOf = async (relative: string) => {
    sharing ??= sharingOf(folder);
    return (await sharing)(relative);
  };
  const packs = new PackFiles(folder, { syncFolder, modesOf });
  let realRoot: string | null = null;
  return {
    uriOf: (relative) => pathToFileURL(placeOf(relative)).href,
    async write(relative, bytes) {
      const path = placeOf(relative);
      try {
        await writeWhole(path, bytes, await modesOf(relative));
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
      // A larger file is not read, because it could have any size.
      if (size > mostBytes)
        throw new StoreFault(`The value at ${uri} is not the saved one: it is ${size} bytes long.`);
      return new Uint8Array(await readFile(path));
    },
    async sizeOf(uri) {
      try {
        realRoot ??= await realpath(folder);
        const path = await realpath(pathOf(uri));
        if (!isInside(realRoot, path)) throw outside(uri);
        return (await stat(path)).size;
      } catch (error) {
        if (isMissing(error)) return null;
        throw error instanceof StoreFault ? error : notTended(folder, error);
      }
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
