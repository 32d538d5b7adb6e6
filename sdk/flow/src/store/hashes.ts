import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import type { Ref } from "@towpath/contract";

/** Half of a ref's 64 digits: the hash of the content. The other half belongs to the worker. */
const CONTENT_CHARS = 32;
/** The worker's half as a flow writes it. The worker replaces it by its MAC when the ref leaves. */
const UNSIGNED = "0".repeat(CONTENT_CHARS);
const KEY_BYTES = 32;

/** Stored bytes of a value, as its ref describes them. */
export interface Content {
  readonly codec: string;
  /** The size of the stored bytes, with their padding. */
  readonly sizeBytes: number;
  /** The SHA-256 of the value without padding, hex. It never leaves this process. */
  readonly sha256: string;
  readonly isPadded: boolean;
}

/**
 * The hashes that leave with a run: of inputs, of contents and of names. With keys, nobody without a key can guess a value
 * from its hash. Without a worker nothing leaves, so the hashes have no key: see `PLAIN_HASHES`.
 */
export interface Hashes {
  /** The keys, in base64url. */
  readonly keys: readonly string[];
  /** The hashes by each key alone, the current one first: values of all of them are found. */
  readonly each: readonly Hashes[];
  /** The hash of a call's input, hex. @param digest The SHA-256 of the input's tokens. */
  input(digest: Uint8Array): string;
  /** The hash of a text or of bytes in a name, hex. */
  name(content: string | Uint8Array): string;
  /** What a ref has as its `sha256`. */
  content(content: Content): string;
  /** Whether a ref is one of exactly this content, by any key. */
  isContent(ref: Ref, content: Pick<Content, "sha256" | "isPadded">): boolean;
  /** What a ref counts by in the hash of an input. */
  counted(sha256: string): string;
}

/** Hashes without a key, for runs without a worker and for workers of an earlier release. */
export const PLAIN_HASHES: Hashes = {
  keys: [],
  get each() {
    return [PLAIN_HASHES];
  },
  input: (digest) => Buffer.from(digest).toString("hex"),
  name: (content) => createHash("sha256").update(content).digest("hex"),
  content: ({ sha256 }) => sha256,
  isContent: (ref, { sha256, isPadded }) => !isPadded && ref.sha256 === sha256,
  counted: (sha256) => sha256,
};

/** HMAC-SHA256 with a label, so that a hash for one purpose is never one for another. */
function mac(key: KeyObject, label: string, content: string | Uint8Array): string {
  return createHmac("sha256", key).update(`${label}\n`).update(content).digest("hex");
}

function contentBy(key: KeyObject, { codec, sizeBytes, sha256, isPadded }: Content): string {
  const label = `${isPadded ? "padded" : "content"} ${codec} ${sizeBytes}`;
  return mac(key, label, Buffer.from(sha256, "hex")).slice(0, CONTENT_CHARS);
}

/**
 * The hashes of a run on a worker.
 * @param keys In base64url: the context's `hashKeys`. The first one hashes. Values of the others are still found and read.
 */
export function hashesOf(keys: readonly string[] | undefined): Hashes {
  const [current, ...older] = (keys ?? []).map(hashKey);
  return current === undefined ? PLAIN_HASHES : keyed(current, older);
}

/** A key object costs a sixth of the time of the key's bytes, at each HMAC. */
interface HashKey {
  readonly text: string;
  readonly object: KeyObject;
}

function hashKey(text: string): HashKey {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.byteLength !== KEY_BYTES) throw new TypeError(`A hash key has ${KEY_BYTES} bytes.`);
  return { text, object: createSecretKey(bytes) };
}

function keyed(current: HashKey, older: readonly HashKey[]): Hashes {
  const key = current.object;
  const hashes: Hashes = {
    keys: [current, ...older].map(({ text }) => text),
    get each() {
      return [hashes, ...older.map((one) => keyed(one, []))];
    },
    input: (digest) => mac(key, "input", digest),
    name: (content) => mac(key, "name", content),
    content: (content) => contentBy(key, content) + UNSIGNED,
    isContent: (ref, content) => {
      const told = Buffer.from(ref.sha256.slice(0, CONTENT_CHARS));
      const whole = { ...content, codec: ref.codec, sizeBytes: ref.sizeBytes };
      return [current, ...older].some(({ object }) =>
        timingSafeEqual(Buffer.from(contentBy(object, whole)), told),
      );
    },
    counted: (sha256) => sha256.slice(0, CONTENT_CHARS),
  };
  return hashes;
}
