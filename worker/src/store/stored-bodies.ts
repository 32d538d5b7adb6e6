import { createHash, randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  ORIGINS,
  partsOf,
  type ReadFault,
  type ReadRequest,
  SealError,
  STORED_FILE_CHARS,
  type StoredBody,
} from "@towpath/contract";
import { roundedSize } from "@towpath/contract/words";
import type { SealedRun, WorkerKeyring } from "../sealing/index.ts";
import { isMissing } from "../state/atomic-file.ts";
import { bucketObject, ObjectTooLarge } from "./bucket-object.ts";
import { markOf } from "./mark.ts";
import type { StoreAddress } from "./root-object.ts";

/** The time limit for writing or reading a body, milliseconds. */
const BODY_MS = 15_000;

/** The fields whose values may be stored bodies. */
const FIELDS = ["artifact", "log"] as const;
/** One of them. */
export type StoredField = (typeof FIELDS)[number];

/** A store does not take a body now. The message is for the run's log, and names no credentials. */
export class StoreUnwritable extends Error {
  override readonly name = "StoreUnwritable";
}

/** Where a body is written, and for whom it is sealed. */
export interface BodyTarget {
  readonly keyring: WorkerKeyring;
  readonly store: StoreAddress & { readonly roundSizes?: boolean | undefined };
  readonly run: SealedRun;
}

/** With the other values of the run, so that all are removed together. The name says nothing of the content, because the file is sealed. */
function pathOf({ runId, hash }: { runId: string; hash: string }): string {
  return `runs/${runId}/bodies/${hash}`;
}

const sha256 = (text: string) => createHash("sha256").update(text, "utf8").digest("hex");

/** JSON may end with spaces, so that few sizes exist. */
function paddedJson(text: string): string {
  const bytes = Buffer.byteLength(text);
  return text + " ".repeat(roundedSize(bytes) - bytes);
}

/**
 * Seals a body for its run and writes it into the store. When it resolves, the file is complete and will survive a crash.
 * @param json JSON of at most `LIMITS.storedBytes`.
 * @throws StoreUnwritable
 */
export async function writeStored(target: BodyTarget, field: StoredField, json: string): Promise<StoredBody> {
  const { keyring, store, run } = target;
  const { runId, ...place } = run;
  const text = store.roundSizes === true ? paddedJson(json) : json;
  const sealed = keyring.seal({ ...place, field, origin: ORIGINS.run(runId) }, text);
  const hash = sha256(sealed);
  const mark = await inTime(store, () => markOf(store)).catch(() => null);
  if (mark === null) throw new StoreUnwritable("The store cannot be reached.");
  try {
    await inTime(store, () => writeText(store, { path: pathOf({ runId, hash }), text: sealed }));
  } catch (error) {
    throw new StoreUnwritable(`The store did not take it: ${reasonOf(error)}.`, { cause: error });
  }
  return { hash, bytes: Buffer.byteLength(sealed), store: mark.id };
}

/** Folders that do not answer, such as those of a server that is away. */
const hung = new Set<string>();

/**
 * Gives up work in a store after a while. Work in a folder goes on in a thread that this process needs: while it hangs, none is added.
 */
async function inTime<Value>({ root }: StoreAddress, work: () => Promise<Value>): Promise<Value> {
  const late = () => Object.assign(new Error("The store does not answer."), { code: "ETIMEDOUT" });
  if (hung.has(root)) throw late();
  const { promise: over, reject } = Promise.withResolvers<never>();
  const working = work();
  const timer = setTimeout(() => {
    hung.add(root);
    void working.catch(() => {}).finally(() => hung.delete(root));
    reject(late());
  }, BODY_MS);
  return await Promise.race([working, over]).finally(() => clearTimeout(timer));
}

/** The code of an error of the file system, or the status of a bucket. Their other texts may have paths. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "an unknown error";
  if ("code" in error && typeof error.code === "string") return error.code;
  return /status \d{3}/.exec(error.message)?.[0] ?? error.name;
}

async function writeText(store: StoreAddress, { path, text }: { path: string; text: string }): Promise<void> {
  if (store.s3 !== undefined)
    return await bucketObject(store.root, store.s3, { path, mostBytes: 0, timeoutMs: BODY_MS }).write(text);
  const whole = join(fileURLToPath(store.root), ...path.split("/"));
  const folder = dirname(whole);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const own = `${whole}.${randomUUID()}.tmp`;
  const file = await open(own, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(own, whole).catch(async (error: unknown) => {
    await rm(own, { force: true });
    throw error;
  });
  const opened = await open(folder, "r");
  await opened.sync().finally(() => opened.close());
}

/** The text of a stored file; null if there is none. A link, a pipe or a device with its name is not read. */
async function readText(store: StoreAddress, path: string): Promise<string | null> {
  const mostBytes = STORED_FILE_CHARS;
  if (store.s3 !== undefined)
    return await bucketObject(store.root, store.s3, { path, mostBytes, timeoutMs: BODY_MS }).read();
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const whole = join(fileURLToPath(store.root), ...path.split("/"));
  const file = await open(whole, flags).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    const isFile = (await file.stat()).isFile();
    if (!isFile || size > mostBytes) throw new ObjectTooLarge("It is no file of a stored body.");
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/** What a worker may send of its stores. */
export interface BodySource {
  readonly keyring: WorkerKeyring;
  readonly workspace: string;
  readonly store: StoreAddress;
}

/**
 * The file of a stored body, or why it is not sent. It is sent only if its hash is its name, and it opens with this worker's key for
 * the run that was asked about: a hostile control plane gets ciphertext of bodies that belong to that run, and nothing else of the store.
 * @throws when the store cannot be read now.
 */
export async function readStoredFile(
  { keyring, workspace, store }: BodySource,
  { runId, hash }: Pick<ReadRequest, "runId" | "hash">,
): Promise<{ readonly sealed: string } | { readonly fault: ReadFault }> {
  let sealed: string | null;
  try {
    sealed = await inTime(store, () => readText(store, pathOf({ runId, hash })));
  } catch (error) {
    if (error instanceof ObjectTooLarge) return { fault: "damaged" };
    throw error;
  }
  if (sealed === null) return { fault: "gone" };
  if (sha256(sealed) !== hash) return { fault: "damaged" };
  const fault = faultOf(keyring, { sealed, workspace, runId });
  return fault === null ? { sealed } : { fault };
}

function faultOf(
  keyring: WorkerKeyring,
  { sealed, workspace, runId }: { sealed: string; workspace: string; runId: string },
): ReadFault | null {
  try {
    const field = FIELDS.find((one) => one === partsOf(sealed).header.fld);
    if (field === undefined) return "foreign";
    keyring.unseal(sealed, { workspace, field, origins: [ORIGINS.run(runId)] });
    return null;
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    if (error.fault === "unknown-key") return "unknown-key";
    return error.fault === "moved" ? "foreign" : "damaged";
  }
}
