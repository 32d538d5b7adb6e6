import { createHash } from "node:crypto";
import type { Ref } from "@towpath/contract";
import { StoreFault } from "../problem.ts";
import { CODEC_ENDINGS, type Codec, decode, defaultCodec, encode } from "./codec.ts";
import { findNamed, type Named, type NamedValue, saveNamed } from "./named.ts";
import type { Appended, Objects } from "./objects.ts";
import { PACK_BYTES_MAX, PACKED_BYTES_MAX, PackReader } from "./packs.ts";

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
   * Keeps values that were encoded before: several become one object, so that many small ones are few objects. They survive
   * this process at once, and a crash of the machine after the next `sync`.
   * @param values of one attempt, of at most PACK_BYTES_MAX together.
   * @returns Their refs, in their order.
   * @throws StoreFault
   */
  saveTogether(values: readonly Encoded[]): Promise<Ref[]>;
  /** Resolves once all that was saved before survives a crash of the machine. @throws StoreFault if it may not. */
  sync(): Promise<void>;
  /**
   * Reads a value back, if it lies in this store and is byte for byte what was saved.
   * @throws StoreFault otherwise.
   */
  load(ref: Ref): Promise<unknown>;
  /**
   * Stores a value under a name, instead of the one before. For values that runs share.
   * @param named.name Relative path whose parts are safe as file names: see `safePart`.
   * @throws NotSerialisable | StoreFault
   */
  saveAs(named: Named): Promise<Ref>;
  /** What was last kept under a name; null if there is nothing that can be read. */
  find(name: string): Promise<NamedValue | null>;
}

/** A value ready to be kept. */
export interface Encoded {
  readonly bytes: Uint8Array;
  readonly codec: Codec;
  readonly sha256: string;
  /** The folder of the attempt that it belongs to. */
  readonly folder: string;
  /** Relative path, each part safe as a file name. */
  readonly path: string;
}

/** Most file systems take 255 bytes in a name. */
const PART_CHARS_MAX = 120;
const HASH_CHARS = 16;
/** The folder of runs, below which each has its own. */
export const RUNS_FOLDER = "runs";

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
  const folder = [RUNS_FOLDER, safePart(place.runId), `attempt-${place.attempt}`].join("/");
  return { bytes, codec, sha256, folder, path: [folder, ...tasks, file].join("/") };
}

/**
 * Checks bytes against the ref they were read for.
 * @throws StoreFault if size or hash differ.
 */
function checkContent(ref: Ref, bytes: Uint8Array): void {
  if (bytes.byteLength !== ref.sizeBytes || sha256Of(bytes) !== ref.sha256)
    throw new StoreFault(`${ref.uri} is not what was saved there: its size or hash differs.`, {
      next: "Something else wrote to the store; run again what made it.",
    });
}

function refOf({ codec, sha256, bytes }: Encoded, uri: string): Ref {
  return { uri, codec, sizeBytes: bytes.byteLength, sha256 };
}

/** The part of a pack that a ref means stands behind `#`, as the offset of its first byte. */
function partOf(uri: string): { readonly pack: string; readonly offset: number } | null {
  const [, pack, offset] = /^([^#]*)#(\d{1,9})$/.exec(uri) ?? [];
  return pack === undefined ? null : { pack, offset: Number(offset) };
}

async function writePack(objects: Objects, folder: string, bytes: Uint8Array): Promise<Appended> {
  if (objects.append !== undefined) return await objects.append(folder, bytes);
  const name = sha256Of(bytes).slice(0, HASH_CHARS * 2);
  return { uri: await objects.write(`${folder}/packs/${name}.pack`, bytes), offset: 0 };
}

async function savePack(objects: Objects, values: readonly Encoded[]): Promise<Ref[]> {
  const bytes = Buffer.concat(values.map((value) => value.bytes));
  if (bytes.byteLength > PACK_BYTES_MAX)
    throw new StoreFault(`Values of ${bytes.byteLength} bytes are too large to be kept together.`);
  const pack = await writePack(objects, values[0]?.folder ?? RUNS_FOLDER, bytes);
  let { offset } = pack;
  return values.map((value) => {
    const ref = refOf(value, `${pack.uri}#${offset}`);
    offset += value.bytes.byteLength;
    return ref;
  });
}

/** A store over objects: what it keeps is found again by ref, and by nothing else. */
export function storeOver(objects: Objects): Store {
  const packs = new PackReader(objects);
  const saveOne = async (value: Encoded) => refOf(value, await objects.write(value.path, value.bytes));
  const read = async (ref: Ref): Promise<Uint8Array> => {
    const part = partOf(ref.uri);
    if (part === null) return await objects.read(ref.uri, ref.sizeBytes);
    const end = part.offset + ref.sizeBytes;
    return (await packs.read(part.pack, end)).slice(part.offset, end);
  };
  return {
    save: async (place, value, codec) => await saveOne(encodeAt(place, value, codec)),
    async saveTogether(values) {
      const [first] = values;
      if (first === undefined) return [];
      const isSmall = first.bytes.byteLength <= PACKED_BYTES_MAX;
      const isAlone = values.length === 1 && !(isSmall && objects.append !== undefined);
      return isAlone ? [await saveOne(first)] : await savePack(objects, values);
    },
    sync: async () => await objects.sync?.(),
    async load(ref) {
      const bytes = await read(ref);
      checkContent(ref, bytes);
      return decode(bytes, ref);
    },
    saveAs: (named) => saveNamed(objects, named),
    find: (name) => findNamed(objects, name),
  };
}
