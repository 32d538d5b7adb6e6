import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Context } from "@towpath/contract";
import { isMissing } from "../state/atomic-file.ts";
import { type BucketAccess, bucketObject } from "./bucket-object.ts";

/** A store as a flow gets it. */
export type StoreAddress = Pick<Context["store"], "root" | "s3">;

/** A small object at the root of a store, which workers share. */
export interface RootObject {
  /** A name that is safe in a URL. */
  readonly name: string;
  /** Permissions of its file. */
  readonly mode: number;
}

/** The time limit for reading or writing one, milliseconds. */
const LOOK_MS = 3_000;
/** The largest one, bytes. */
const ROOT_OBJECT_BYTES = 64 * 1024;

/** Its text; null if there is none. @throws when the store cannot be reached now. */
export async function readRootObject(store: StoreAddress, { name }: RootObject): Promise<string | null> {
  if (store.s3 === undefined) return await readText(join(fileURLToPath(store.root), name));
  return await rootOf(store.root, store.s3, name).read();
}

/**
 * Its text. If there is none, it is written first. Of several writers at once, one wins, and no reader sees half of it.
 * @param make Its text, if there is none.
 * @throws when the store cannot be reached now.
 */
export async function rootObject(
  store: StoreAddress,
  object: RootObject,
  make: () => string,
): Promise<string | null> {
  const known = await readRootObject(store, object);
  if (known !== null) return known;
  if (store.s3 === undefined) await writeFileOnce(fileURLToPath(store.root), object, make());
  else await rootOf(store.root, store.s3, object.name).writeOnce(make());
  return await readRootObject(store, object);
}

const rootOf = (root: string, s3: BucketAccess, name: string) =>
  bucketObject(root, s3, { path: name, mostBytes: ROOT_OBJECT_BYTES, timeoutMs: LOOK_MS });

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function writeFileOnce(root: string, { name, mode }: RootObject, text: string): Promise<void> {
  await mkdir(root, { recursive: true });
  const path = join(root, name);
  const own = `${path}.${randomUUID()}`;
  await writeFile(own, text, { mode, flush: true });
  // The first worker that links has written it.
  await link(own, path).catch(() => {});
  await rm(own, { force: true });
}
