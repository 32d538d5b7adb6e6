import { createHash } from "node:crypto";
import type { Ref } from "@towpath/contract";
import { isRef } from "@towpath/contract/words";
import { NotData } from "../problem.ts";
import { UNWRITABLE_TABLE } from "../store/arrow.ts";
import { type Data, dataOf, saysToJson } from "../store/data.ts";
import type { Hashes } from "../store/hashes.ts";

/** Text is hashed in pieces of this many characters, because each update has a cost. */
const CHUNK_CHARS = 8 * 1024;
/** The deepest nesting of an input. */
const DEPTH_MAX = 64;
/** The most names of fields whose tokens are kept. */
const KEYS_MAX = 1_000;
/** 64 bits. If two inputs of one run collide, their order distinguishes them. */
const HASH_CHARS = 16;

/** Writes tagged tokens with their length, so that different inputs write different bytes. */
class Digest {
  readonly #hash = createHash("sha256");
  readonly #keys = new Map<string, string>();
  #text = "";

  token(tag: string, text: string): void {
    // UTF-8 cannot encode half a surrogate pair: all of them would be equal.
    if (!text.isWellFormed()) this.bytes(`${tag}16`, Buffer.from(text, "utf16le"));
    else this.#text += `${tag}${text.length}:${text}`;
    if (this.#text.length >= CHUNK_CHARS) this.#flush();
  }

  /** The name of a field. The rows of a table repeat them. */
  key(name: string): void {
    const known = this.#keys.get(name);
    if (known !== undefined) this.#text += known;
    else {
      this.token("k", name);
      if (name.isWellFormed() && this.#keys.size < KEYS_MAX) this.#keys.set(name, `k${name.length}:${name}`);
    }
  }

  bytes(tag: string, bytes: Uint8Array): void {
    this.token(tag, String(bytes.byteLength));
    this.#flush();
    this.#hash.update(bytes);
  }

  end(): Uint8Array {
    this.#flush();
    return this.#hash.digest();
  }

  #flush(): void {
    this.#hash.update(this.#text, "utf8");
    this.#text = "";
  }
}

interface Position {
  readonly call: Hashed;
  readonly argument: string;
  /** The steps to this part of the argument. Their text is made only for an error: there may be very many parts. */
  readonly steps: Steps | null;
  /** The objects that this part is inside of. */
  readonly above: Set<object>;
}

interface Steps {
  readonly step: string | number;
  readonly outer: Steps | null;
}

function insideOf(steps: Steps | null): string {
  const texts: string[] = [];
  for (let one = steps; one !== null; one = one.outer)
    texts.push(typeof one.step === "number" ? `[${one.step}]` : `.${one.step}`);
  return texts.reverse().join("");
}

function refuse(at: Position, found: string): never {
  const { what, next = NEXT } = at.call;
  const field = insideOf(at.steps).replace(/^\./, "");
  const place = field === "" ? at.argument : `${at.argument}, field "${field}"`;
  throw new NotData(what, { found, next, place });
}

function within(at: Position, step: string | number): Position {
  return { call: at.call, argument: at.argument, steps: { step, outer: at.steps }, above: at.above };
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
  if (!areSorted(entries)) entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  digest.token(tag, String(entries.length));
  for (const [key, item] of entries) {
    digest.key(key);
    if (!feedPlain(digest, item)) feed(digest, item, within(at, key));
  }
}

function areSorted(entries: readonly (readonly [string, unknown])[]): boolean {
  return entries.every(([key], index) => index === 0 || (entries[index - 1]?.[0] ?? "") <= key);
}

function feedItems(
  digest: Digest,
  { tag, items, at }: { tag: string; items: readonly unknown[]; at: Position },
): void {
  digest.token(tag, String(items.length));
  // No path is built for plain values, because there may be very many.
  for (const [index, item] of items.entries())
    if (!feedPlain(digest, item)) feed(digest, item, within(at, index));
}

function feedBytes(digest: Digest, name: string, { buffer, byteOffset, byteLength }: ArrayBufferView): void {
  digest.bytes(name, new Uint8Array(buffer, byteOffset, byteLength));
}

function feedData(digest: Digest, value: object, args: { data: Data; at: Position }): void {
  const { data, at } = args;
  switch (data.kind) {
    case "array":
      feedItems(digest, { tag: "a", items: data.value, at });
      break;
    case "map":
      feedItems(digest, { tag: "m", items: [...data.value], at });
      break;
    case "set":
      feedItems(digest, { tag: "t", items: [...data.value], at });
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
    case "table":
      digest.bytes("arrow", data.value.write()?.bytes ?? refuse(at, UNWRITABLE_TABLE));
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
  const { above } = at;
  if (above.has(value)) refuse(at, "part of a cycle");
  if (above.size >= DEPTH_MAX) refuse(at, `nested more than ${DEPTH_MAX} deep`);
  above.add(value);
  const data = dataOf(value);
  const mayBeSaid = data.kind === "none" || data.kind === "object" || data.kind === "bare";
  if (mayBeSaid && saysToJson(value)) {
    digest.token("j", "");
    feed(digest, saidBy(value, at), at);
  } else if (data.kind === "object" && isRef(value)) feedRef(digest, value, at.call.hashes);
  else feedData(digest, value, { data, at });
  above.delete(value);
}

/** A ref counts by its content: its address differs in each run, and the value behind it may be the same. */
function feedRef(digest: Digest, { codec, sha256 }: Ref, hashes: Hashes): void {
  digest.token("r", `${codec} ${hashes.counted(sha256)}`);
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
  /** The run's hashes. */
  readonly hashes: Hashes;
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
    feed(digest, item, { call, argument: `argument ${index + 1}`, steps: null, above: new Set() });
  return call.hashes.input(digest.end()).slice(0, HASH_CHARS);
}
