import { createHash, randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Context, Id, type StoreMark } from "@towpath/contract";
import { AwsClient } from "aws4fetch";
import { z } from "zod";
import { isMissing } from "../state/atomic-file.ts";

type Store = Context["store"];

/** The object at a store's root by which workers recognize the store. */
const MARK = "towpath-store.json";
/** The time limit for reading it, milliseconds. Then the worker opens its session without it. */
const LOOK_MS = 3_000;
const NOT_FOUND = 404;

const Mark = z.object({ id: Id });

function newMark(): string {
  return `${JSON.stringify({ id: randomUUID() })}\n`;
}

async function readFileMark(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Of several writers at once, the first wins. No reader sees half of it. */
async function fileMark(root: string): Promise<string | null> {
  const path = join(root, MARK);
  const known = await readFileMark(path);
  if (known !== null) return known;
  await mkdir(root, { recursive: true });
  const own = `${path}.${randomUUID()}`;
  await writeFile(own, newMark(), { mode: 0o644 });
  await link(own, path).catch(() => {});
  await rm(own, { force: true });
  return await readFileMark(path);
}

function bucketUrl(root: string, { endpoint, region }: NonNullable<Store["s3"]>): string {
  const [, bucket = "", prefix = ""] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(root) ?? [];
  const base = endpoint
    ? `${endpoint.replace(/\/+$/, "")}/${bucket}`
    : `https://${bucket}.s3.${region}.amazonaws.com`;
  const place = prefix.split("/").filter((part) => part !== "");
  return [base, ...place.map(encodeURIComponent), MARK].join("/");
}

/** Of several writers at once, one wins: the first, if the server knows `If-None-Match`. Each then reads the result. */
async function bucketMark(root: string, s3: NonNullable<Store["s3"]>): Promise<string | null> {
  const { accessKeyId, secretAccessKey, sessionToken, region } = s3;
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey,
    region,
    service: "s3",
    retries: 1,
    ...(sessionToken === null ? {} : { sessionToken }),
  });
  const url = bucketUrl(root, s3);
  const signal = AbortSignal.timeout(LOOK_MS);
  const read = async () => {
    const answer = await client.fetch(url, { signal });
    if (answer.ok) return await answer.text();
    await answer.body?.cancel();
    return answer.status === NOT_FOUND ? null : "";
  };
  const known = await read();
  if (known !== null) return known;
  const written = await client.fetch(url, {
    method: "PUT",
    body: newMark(),
    signal,
    headers: { "if-none-match": "*" },
  });
  await written.body?.cancel();
  return await read();
}

/** The first eight bytes of a hash: enough to tell two prefixes of one store apart. */
const PLACE_CHARS = 16;

/**
 * Tells the store of this worker apart from any other: a random id that the first worker wrote into it and the
 * others read, and the hashed prefix. The hash includes the id, so no outsider can guess the prefix. Null when
 * the store cannot be reached now.
 */
export async function markOf({ root, s3 }: Store): Promise<StoreMark | null> {
  try {
    const text = s3 === undefined ? await fileMark(fileURLToPath(root)) : await bucketMark(root, s3);
    const { id } = Mark.parse(JSON.parse(text ?? ""));
    const place = createHash("sha256").update(`${id}\n${root}`).digest("hex").slice(0, PLACE_CHARS);
    return { id, place };
  } catch {
    return null;
  }
}
