import { createHash } from "node:crypto";
import type { Ref } from "@towpath/contract";
import { StoreFault } from "../problem.ts";
import { CODEC_ENDINGS, type Codec, defaultCodec, encode } from "./codec.ts";

/** Where in a run a value belongs. `task` is the path of the task run, empty for the flow itself. */
export interface Place {
  readonly runId: string;
  readonly attempt: number;
  readonly task: string;
  readonly name: string;
}

/** Saves and loads values on the customer's side. Only refs go anywhere else. */
export interface Store {
  /**
   * Keeps a value. Its address holds the attempt and the content's hash, so that nothing is ever overwritten with
   * something else and a repeated save is the same ref.
   * @throws NotSerialisable | StoreFault
   */
  save(place: Place, value: unknown, codec?: Codec): Promise<Ref>;
  /**
   * Reads a value back, if it lies in this store and is byte for byte what was saved.
   * @throws StoreFault otherwise.
   */
  load(ref: Ref): Promise<unknown>;
}

/** A value ready to be kept. */
export interface Encoded {
  readonly bytes: Uint8Array;
  readonly codec: Codec;
  readonly sha256: string;
  /** Relative path, each part safe as a file name. */
  readonly path: string;
}

/** Most file systems take 255 bytes in a name. */
const PART_CHARS_MAX = 120;
const HASH_CHARS = 16;

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** What task paths are full of, by characters that an escaped name cannot hold otherwise: addresses stay readable. */
const READABLE: Record<string, string> = { "%3A": "@", "%23": "+" };

/** A name as one part of a path, different for different names: nothing in it can climb, hide or part folders. */
export function safePart(name: string): string {
  const escaped = encodeURIComponent(name).replace(/%3A|%23/g, (code) => READABLE[code] ?? code);
  const safe = escaped.replace(/^\./, "%2E").replaceAll("*", "%2A");
  return safe.length <= PART_CHARS_MAX ? safe : `~${sha256Of(new TextEncoder().encode(name)).slice(0, 40)}`;
}

/** Encodes a value and derives where it goes. */
export function encodeAt(place: Place, value: unknown, codec = defaultCodec(value)): Encoded {
  if (place.name === "") throw new StoreFault("A saved value needs a name.");
  const bytes = encode(value, { codec, name: place.name });
  const sha256 = sha256Of(bytes);
  const tasks = place.task === "" ? [] : place.task.split("/").map(safePart);
  const file = `${safePart(place.name)}.${sha256.slice(0, HASH_CHARS)}.${CODEC_ENDINGS[codec]}`;
  const path = ["runs", safePart(place.runId), `attempt-${place.attempt}`, ...tasks, file].join("/");
  return { bytes, codec, sha256, path };
}

/**
 * Checks bytes against the ref they were read for.
 * @throws StoreFault if size or hash differ.
 */
export function checkContent(ref: Ref, bytes: Uint8Array): void {
  if (bytes.byteLength !== ref.sizeBytes || sha256Of(bytes) !== ref.sha256)
    throw new StoreFault(`${ref.uri} is not what was saved there: its size or hash differs.`, {
      next: "Something else wrote to the store; run again what made it.",
    });
}
