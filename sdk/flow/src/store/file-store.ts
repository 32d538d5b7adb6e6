import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Ref } from "@towpath/contract";
import { StoreFault } from "../problem.ts";
import { decode } from "./codec.ts";
import { checkContent, encodeAt, type Store } from "./store.ts";

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
async function insideRoot(root: string, ref: Ref): Promise<string> {
  const realRoot = await realPathOf(root, pathToFileURL(root).href);
  const path = await realPathOf(pathOf(ref.uri), ref.uri);
  if (path.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep)) return path;
  throw new StoreFault(`${ref.uri} lies outside of the store.`, {
    next: "Only refs that ctx.save of this store answered can be loaded.",
  });
}

async function readChecked(path: string, ref: Ref): Promise<Uint8Array> {
  const { size } = await stat(path);
  // A file of another size is not read at all: it could be of any size.
  if (size !== ref.sizeBytes) checkContent(ref, new Uint8Array(0));
  const bytes = new Uint8Array(await readFile(path));
  checkContent(ref, bytes);
  return bytes;
}

/**
 * A store in a local folder, which is made when first needed. Files are written aside, synced and renamed.
 * @param root A `file:` URL.
 */
export function fileStore(root: string): Store {
  const folder = pathOf(root);
  return {
    async save(place, value, codec) {
      const encoded = encodeAt(place, value, codec);
      const path = join(folder, ...encoded.path.split("/"));
      try {
        await writeWhole(path, encoded.bytes);
      } catch (cause) {
        throw new StoreFault(`"${place.name}" could not be kept at ${path}: ${String(cause)}`, {
          cause,
          next: "Check the folder's permissions and free space.",
        });
      }
      const { codec: used, sha256, bytes } = encoded;
      return { uri: pathToFileURL(path).href, codec: used, sizeBytes: bytes.byteLength, sha256 };
    },
    async load(ref) {
      return decode(await readChecked(await insideRoot(folder, ref), ref), ref);
    },
  };
}
