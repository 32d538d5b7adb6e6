import { createHash } from "node:crypto";
import { NotData } from "../problem.ts";
import { type Data, dataOf, saysToJson } from "../store/data.ts";

/** Text is hashed in pieces of this many characters, because each update has a cost. */
const CHUNK_CHARS = 8 * 1024;
/** The deepest nesting of an input. */
const DEPTH_MAX = 64;
/** 64 bits. If two inputs of one run collide, their order distinguishes them. */
const HASH_CHARS = 16;

/** Writes tagged tokens with their length, so that different inputs write different bytes. */
class Digest {
  readonly #hash = createHash("sha256");
  #text = "";

  token(tag: string, text: string): void {
    // UTF-8 cannot encode half a surrogate pair: all of them would be equal.
    if (!text.isWellFormed()) this.bytes(`${tag}16`, Buffer.from(text, "utf16le"));
    else this.#text += `${tag}${text.length}:${text}`;
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

interface Position {
  readonly call: Hashed;
  readonly argument: string;
  /** The position in the argument: `.rows[2]`. */
  readonly inside: string;
  readonly above: readonly object[];
}

function refuse(at: Position, found: string): never {
  const { what, next = NEXT } = at.call;
  const field = at.inside.replace(/^\./, "");
  const place = field === "" ? at.argument : `${at.argument}, field "${field}"`;
  throw new NotData(what, { found, next, place });
}

function within(at: Position, value: object, step: string): Position {
  return { ...at, inside: `${at.inside}${step}`, above: [...at.above, value] };
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

function feedEntries(digest: Digest, value: object, { tag, at }: { tag: string; at: Position }): void {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  digest.token(tag, String(entries.length));
  for (const [key, item] of entries) {
    digest.token("k", key);
    if (!feedPlain(digest, item)) feed(digest, item, within(at, value, `.${key}`));
  }
}

function feedItems(
  digest: Digest,
  value: object,
  { tag, items, at }: { tag: string; items: readonly unknown[]; at: Position },
): void {
  digest.token(tag, String(items.length));
  // No path is built for plain values, because there may be very many.
  for (const [index, item] of items.entries())
    if (!feedPlain(digest, item)) feed(digest, item, within(at, value, `[${index}]`));
}

function feedBytes(digest: Digest, name: string, { buffer, byteOffset, byteLength }: ArrayBufferView): void {
  digest.bytes(name, new Uint8Array(buffer, byteOffset, byteLength));
}

function feedData(digest: Digest, value: object, args: { data: Data; at: Position }): void {
  const { data, at } = args;
  switch (data.kind) {
    case "array":
      feedItems(digest, value, { tag: "a", items: data.value, at });
      break;
    case "map":
      feedItems(digest, value, { tag: "m", items: [...data.value], at });
      break;
    case "set":
      feedItems(digest, value, { tag: "t", items: [...data.value], at });
      break;
    case "object":
      feedEntries(digest, value, { tag: "o", at });
      break;
    case "bare":
      feedEntries(digest, value, { tag: "p", at });
      break;
    case "date":
      digest.token("d", String(data.value.getTime()));
      break;
    case "url":
      digest.token("l", data.value.href);
      break;
    case "buffer":
      digest.bytes("buffer", new Uint8Array(data.value));
      break;
    case "view":
      feedBytes(digest, data.name, data.value);
      break;
    case "none":
      refuse(at, data.found);
  }
}

function saidBy(value: { toJSON(key: string): unknown }, at: Position): unknown {
  try {
    return value.toJSON("");
  } catch (error) {
    return refuse(at, `an object whose toJSON() throws ${String(error)}`);
  }
}

function feedObject(digest: Digest, value: object, at: Position): void {
  if (at.above.includes(value)) refuse(at, "part of a cycle");
  if (at.above.length >= DEPTH_MAX) refuse(at, `nested more than ${DEPTH_MAX} deep`);
  const data = dataOf(value);
  const mayBeSaid = data.kind === "none" || data.kind === "object" || data.kind === "bare";
  if (mayBeSaid && saysToJson(value)) {
    digest.token("j", "");
    feed(digest, saidBy(value, at), within(at, value, ""));
  } else feedData(digest, value, { data, at });
}

function feed(digest: Digest, value: unknown, at: Position): void {
  if (feedPlain(digest, value)) return;
  if (typeof value === "function") refuse(at, "a function");
  if (typeof value === "symbol") refuse(at, "a symbol");
  if (typeof value === "object" && value !== null) feedObject(digest, value, at);
}

/** The subject of messages about an input. */
export interface Hashed {
  /** Such as `Task "load"`. */
  readonly what: string;
  /** The next step for an input that is not data. */
  readonly next?: string;
}

const NEXT =
  'Pass plain data, give the call a key: task.with({ key: "…" })(…), or give the class a toJSON().';

/**
 * Hashes a call's arguments. Equal values have equal hashes, whatever the order of their fields. Undefined fields count
 * as absent. A value that is not plain data counts by its own `toJSON`, or is refused, because two such values may look
 * equal and differ.
 * @throws NotData naming the part that is not data (a function, a class, a cycle).
 */
export function hashInput(call: Hashed, args: readonly unknown[]): string {
  const digest = new Digest();
  digest.token("a", String(args.length));
  for (const [index, item] of args.entries())
    feed(digest, item, { call, argument: `argument ${index + 1}`, inside: "", above: [] });
  return digest.end();
}
