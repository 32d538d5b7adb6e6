import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Context } from "@towpath/contract";
import { AwsClient } from "aws4fetch";
import { isMissing } from "../state/atomic-file.ts";

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
const NOT_FOUND = 404;

/** Its text; null if there is none. @throws when the store cannot be reached now. */
export async function readRootObject(store: StoreAddress, { name }: RootObject): Promise<string | null> {
  if (store.s3 === undefined) return await readText(join(fileURLToPath(store.root), name));
  return await bucketObject(store.root, store.s3, name).read();
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
  else await bucketObject(store.root, store.s3, object.name).writeOnce(make());
  return await readRootObject(store, object);
}

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

function bucketUrl(
  root: string,
  { endpoint, region }: NonNullable<StoreAddress["s3"]>,
  name: string,
): string {
  const [, bucket = "", prefix = ""] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(root) ?? [];
  const base = endpoint
    ? `${endpoint.replace(/\/+$/, "")}/${bucket}`
    : `https://${bucket}.s3.${region}.amazonaws.com`;
  const place = prefix.split("/").filter((part) => part !== "");
  return [base, ...place.map(encodeURIComponent), name].join("/");
}

/** Of several writers, the first wins if the server knows `If-None-Match`, else the last. Each reads the result. */
function bucketObject(root: string, s3: NonNullable<StoreAddress["s3"]>, name: string) {
  const { accessKeyId, secretAccessKey, sessionToken, region } = s3;
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey,
    region,
    service: "s3",
    retries: 1,
    ...(sessionToken === null ? {} : { sessionToken }),
  });
  const url = bucketUrl(root, s3, name);
  return {
    async read(): Promise<string | null> {
      const answer = await client.fetch(url, { signal: AbortSignal.timeout(LOOK_MS) });
      if (answer.ok) return await answer.text();
      await answer.body?.cancel();
      if (answer.status === NOT_FOUND) return null;
      throw new Error(`The bucket answered with status ${answer.status}.`);
    },
    async writeOnce(text: string): Promise<void> {
      const written = await client.fetch(url, {
        method: "PUT",
        body: text,
        signal: AbortSignal.timeout(LOOK_MS),
        headers: { "if-none-match": "*" },
      });
      await written.body?.cancel();
    },
  };
}
