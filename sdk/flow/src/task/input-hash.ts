import { createHash } from "node:crypto";
import { TaskIdentityUnknown } from "../problem.ts";

/** Text is hashed in pieces of this many characters: one update per value would cost a microsecond each. */
const CHUNK_CHARS = 8 * 1024;
/** How deep an input may be nested. */
const DEPTH_MAX = 64;
/** 64 bits: two inputs of one run that collide would only be told apart by their order. */
const HASH_CHARS = 16;

/** Writes tagged, length-prefixed tokens, so that no two different inputs write the same bytes. */
class Digest {
  readonly #hash = createHash("sha256");
  #text = "";

  token(tag: string, text: string): void {
    this.#text += `${tag}${text.length}:${text}`;
    if (this.#text.length >= CHUNK_CHARS) this.#flush();
  }

  bytes(tag: string, bytes: Uint8Array): void {
    this.token(tag, String(bytes.byteLength));
    this.#flush();
    this.#hash.update(bytes);
  }

  end(): string {
    this.#flush();
    return this.#hash.digest("hex").slice(0, HASH_CHARS);
  }

  #flush(): void {
    this.#hash.update(this.#text, "utf8");
    this.#text = "";
  }
}

interface Place {
  readonly task: string;
  readonly path: string;
  readonly above: readonly object[];
}

function refuse(at: Place, found: string): never {
  throw new TaskIdentityUnknown(
    `Task "${at.task}" cannot be told apart by its input: ${at.path} is ${found}.`,
  );
}

function inside(at: Place, value: object, step: string): Place {
  return { task: at.task, path: `${at.path}${step}`, above: [...at.above, value] };
}

function feedPlain(digest: Digest, value: unknown): boolean {
  if (value === null) digest.token("0", "");
  else if (value === undefined) digest.token("u", "");
  else if (typeof value === "string") digest.token("s", value);
  else if (typeof value === "number") digest.token("n", Object.is(value, -0) ? "-0" : String(value));
  else if (typeof value === "boolean") digest.token("b", String(value));
  else if (typeof value === "bigint") digest.token("i", String(value));
  else return false;
  return true;
}

function feedEntries(digest: Digest, value: object, at: Place): void {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  digest.token("o", String(entries.length));
  for (const [key, item] of entries) {
    digest.token("k", key);
    feed(digest, item, inside(at, value, `.${key}`));
  }
}

function itemsOf(value: object): { tag: string; items: unknown[] } | null {
  if (Array.isArray(value)) return { tag: "a", items: value };
  if (value instanceof Map) return { tag: "m", items: [...value] };
  return value instanceof Set ? { tag: "t", items: [...value] } : null;
}

function feedItems(digest: Digest, value: object, at: Place): boolean {
  const found = itemsOf(value);
  if (found === null) return false;
  const { tag, items } = found;
  digest.token(tag, String(items.length));
  // No place is made for what cannot be refused: there may be a great many of them.
  for (const [index, item] of items.entries())
    if (!feedPlain(digest, item)) feed(digest, item, inside(at, value, `[${index}]`));
  return true;
}

function feedBinary(digest: Digest, value: object): boolean {
  if (ArrayBuffer.isView(value)) {
    digest.bytes(value.constructor.name, new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    return true;
  }
  if (!(value instanceof ArrayBuffer || value instanceof SharedArrayBuffer)) return false;
  digest.bytes("buffer", new Uint8Array(value));
  return true;
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return "toJSON" in value && typeof value.toJSON === "function";
}

function feedObject(digest: Digest, value: object, at: Place): void {
  if (at.above.includes(value)) refuse(at, "part of a cycle");
  if (at.above.length >= DEPTH_MAX) refuse(at, `nested more than ${DEPTH_MAX} deep`);
  if (feedBinary(digest, value) || feedItems(digest, value, at)) return;
  if (value instanceof Promise) refuse(at, "a promise (await it first)");
  if (value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef)
    refuse(at, "a weak reference");
  if (hasToJson(value)) {
    digest.token("j", "");
    feed(digest, value.toJSON(), inside(at, value, ""));
  } else feedEntries(digest, value, at);
}

function feed(digest: Digest, value: unknown, at: Place): void {
  if (feedPlain(digest, value)) return;
  if (typeof value === "function") refuse(at, "a function");
  if (typeof value === "symbol") refuse(at, "a symbol");
  if (typeof value === "object" && value !== null) feedObject(digest, value, at);
}

/**
 * Hashes a task's arguments: the same for equal values whatever the order of their fields, different for different
 * ones. Fields that are undefined count as absent; class instances count by their own fields or `toJSON`.
 * @throws TaskIdentityUnknown naming the part that is not data (a function, a promise, a cycle).
 */
export function hashInput(task: string, args: readonly unknown[]): string {
  const digest = new Digest();
  digest.token("a", String(args.length));
  for (const [index, item] of args.entries())
    feed(digest, item, { task, path: `argument ${index + 1}`, above: [] });
  return digest.end();
}
