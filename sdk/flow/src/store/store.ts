import { createHash } from "node:crypto";
import type { Ref } from "@towpath/contract";
import { StoreFault } from "../problem.ts";
import { CODEC_ENDINGS, type Codec, type CodecChoice, decode, defaultCodec, encodeAs } from "./codec.ts";
import { type Content, type Hashes, PLAIN_HASHES } from "./hashes.ts";
import { encodeLarge, type HashedBytes } from "./large.ts";
import { findNamed, type Named, type NamedValue, saveNamed } from "./named.ts";
import type { Appended, Objects } from "./objects.ts";
import { PACK_BYTES_MAX, PACKED_BYTES_MAX, PackReader } from "./packs.ts";
import { padded, unpadded } from "./padding.ts";

/** The owner of a value in a run. `task` is the path of the task run, empty for the flow itself. */
export interface ValueLocation {
  readonly runId: string;
  readonly attempt: number;
  readonly task: string;
  readonly name: string;
}

/** Saves and loads values on the customer's side. Only refs leave it. */
export interface Store {
  /** The hashes of what leaves with the run. */
  readonly hashes: Hashes;
  /**
   * Stores a value. Its address contains the attempt and the content's hash, so nothing is overwritten and a repeated
   * save returns the same ref.
   * @throws NotSerialisable | StoreFault
   */
  save(place: ValueLocation, value: unknown, codec?: CodecChoice): Promise<Ref>;
  /**
   * Stores encoded values. Several become one object, so that many small values are few objects. They survive the end
   * of this process at once, and a crash of the machine after the next `sync`.
   * @param values of one attempt, of at most PACK_BYTES_MAX together.
   * @returns Their refs, in their order.
   * @throws StoreFault
   */
  saveTogether(values: readonly Encoded[]): Promise<Ref[]>;
  /** Resolves once all saved values survive a crash of the machine. @throws StoreFault if they may not. */
  sync(): Promise<void>;
  /**
   * Loads a value from this store and checks that it is byte for byte the saved one.
   * @throws StoreFault otherwise.
   */
  load(ref: Ref): Promise<unknown>;
  /** Whether the value of a ref is still there. It compares the size, and reads nothing. @throws StoreFault as `load`. */
  has(ref: Ref): Promise<boolean>;
  /**
   * Stores a value under a name and replaces the one before. For values that runs share.
   * @param named.name Relative path whose parts are safe as file names: see `safePart`.
   * @throws NotSerialisable | StoreFault
   */
  saveAs(named: Named): Promise<Ref>;
  /** The latest value of a name; null if there is none that can be read. */
  find(name: string): Promise<NamedValue | null>;
}

/** An encoded value and its path. */
export interface Encoded {
  readonly bytes: Uint8Array;
  readonly codec: Codec;
  /** Hex. It has no key, so it stays in this process. */
  readonly sha256: string;
  /** The folder of its attempt. */
  readonly folder: string;
  /** Relative path without the hash and the ending, each part safe as a file name. */
  readonly stem: string;
}

/** The bytes to write of a value, and their hash for its ref. */
interface Written extends Pick<Encoded, "codec" | "folder" | "stem"> {
  readonly bytes: Uint8Array;
  readonly sha256: string;
}

/** Most file systems take 255 bytes in a name. */
const PART_CHARS_MAX = 120;
const HASH_CHARS = 16;
/** The folder that contains a folder per run. */
export const RUNS_FOLDER = "runs";

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Readable escapes for the two characters that occur in every task path. */
const READABLE: Record<string, string> = { "%3A": "@", "%23": "+" };

/**
 * Escapes a name to one part of a path. Different names give different parts, and no part can leave its folder or be
 * hidden.
 */
export function safePart(name: string): string {
  const escaped = encodeURIComponent(name).replace(/%3A|%23/g, (code) => READABLE[code] ?? code);
  const safe = escaped.replace(/^\./, "%2E").replaceAll("*", "%2A");
  return safe.length <= PART_CHARS_MAX ? safe : `~${sha256Of(new TextEncoder().encode(name)).slice(0, 40)}`;
}

/** Encodes a value and derives its path. */
export function encodeAt(
  place: ValueLocation,
  value: unknown,
  choice: CodecChoice = defaultCodec(value),
): Encoded {
  if (place.name === "") throw new StoreFault("A saved value needs a name.");
  const { codec, bytes } = encodeAs(value, { codec: choice, name: place.name });
  return placed(place, { codec, bytes, sha256: sha256Of(bytes) });
}

/** As `encodeAt`. A large value is encoded in steps, so that it does not block the process. */
export async function encodeInSteps(
  place: ValueLocation,
  value: unknown,
  choice: CodecChoice = defaultCodec(value),
): Promise<Encoded> {
  const large = await encodeLarge(value, { codec: choice, name: place.name });
  return large === null ? encodeAt(place, value, choice) : placed(place, large);
}

function placed(place: ValueLocation, { codec, bytes, sha256 }: HashedBytes): Encoded {
  const tasks = place.task === "" ? [] : place.task.split("/").map(safePart);
  const folder = [RUNS_FOLDER, safePart(place.runId), `attempt-${place.attempt}`].join("/");
  return { bytes, codec, sha256, folder, stem: [folder, ...tasks, safePart(place.name)].join("/") };
}

/** The relative path of a value's own file. Another value has another path, so nothing is overwritten. */
export function pathOf({ stem, sha256, codec }: Pick<Written, "stem" | "sha256" | "codec">): string {
  return `${stem}.${sha256.slice(0, HASH_CHARS)}.${CODEC_ENDINGS[codec]}`;
}

/** How a store hashes and pads what it stores. */
export interface StoreOptions {
  /** @default hashes without a key */
  readonly hashes?: Hashes;
  /** Whether sizes are rounded up. @default false */
  readonly roundSizes?: boolean;
}

/**
 * The content of the bytes that were read for a ref.
 * @throws StoreFault if they are not the saved ones.
 */
function contentOf(ref: Ref, bytes: Uint8Array, { hashes, roundSizes }: Required<StoreOptions>): Uint8Array {
  const plain = () => ({ content: bytes, isPadded: false });
  const inside = () => ({ content: unpadded(bytes), isPadded: true });
  if (bytes.byteLength === ref.sizeBytes)
    // The likely form first: each has a hash of its own.
    for (const form of roundSizes ? [inside, plain] : [plain, inside]) {
      const { content, isPadded } = form();
      if (content !== null && hashes.isContent(ref, { sha256: sha256Of(content), isPadded })) return content;
    }
  throw new StoreFault(`The value at ${ref.uri} is not the saved one: its size or hash differs.`, {
    next: "Another program wrote to the store, or the store key that hashed the value is gone. Run the task that created the value again.",
  });
}

function written(value: Encoded, { hashes, roundSizes }: Required<StoreOptions>): Written {
  const { codec, folder, stem } = value;
  const bytes = roundSizes ? padded(value.bytes) : value.bytes;
  const content: Content = {
    codec,
    sizeBytes: bytes.byteLength,
    sha256: value.sha256,
    isPadded: roundSizes,
  };
  return { bytes, codec, folder, stem, sha256: hashes.content(content) };
}

function refOf({ codec, sha256, bytes }: Written, uri: string): Ref {
  return { uri, codec, sizeBytes: bytes.byteLength, sha256 };
}

/** A ref to a value in a pack ends with `#` and the offset of its first byte. */
function partOf(uri: string): { readonly pack: string; readonly offset: number } | null {
  const [, pack, offset] = /^([^#]*)#(\d{1,9})$/.exec(uri) ?? [];
  return pack === undefined ? null : { pack, offset: Number(offset) };
}

async function writePack(
  objects: Objects,
  { folder, bytes, hashes }: { folder: string; bytes: Uint8Array; hashes: Hashes },
): Promise<Appended> {
  if (objects.append !== undefined) return await objects.append(folder, bytes);
  const name = hashes.name(bytes).slice(0, HASH_CHARS * 2);
  return { uri: await objects.write(`${folder}/packs/${name}.pack`, bytes), offset: 0 };
}

async function savePack(objects: Objects, hashes: Hashes, values: readonly Written[]): Promise<Ref[]> {
  const bytes = Buffer.concat(values.map((value) => value.bytes));
  const half = values.length / 2;
  // Padding may have made them too large for one pack.
  if (bytes.byteLength > PACK_BYTES_MAX && half >= 1)
    return [
      ...(await savePack(objects, hashes, values.slice(0, half))),
      ...(await savePack(objects, hashes, values.slice(half))),
    ];
  if (bytes.byteLength > PACK_BYTES_MAX)
    throw new StoreFault(`Values of ${bytes.byteLength} bytes are too large to be kept together.`);
  const folder = values[0]?.folder ?? RUNS_FOLDER;
  const pack = await writePack(objects, { folder, bytes, hashes });
  let { offset } = pack;
  return values.map((value) => {
    const ref = refOf(value, `${pack.uri}#${offset}`);
    offset += value.bytes.byteLength;
    return ref;
  });
}

/** A store over objects. Its values can be found only by their refs. */
export function storeOver(objects: Objects, options: StoreOptions = {}): Store {
  const { hashes = PLAIN_HASHES, roundSizes = false } = options;
  const own = { hashes, roundSizes: roundSizes && hashes !== PLAIN_HASHES };
  const packs = new PackReader(objects);
  const saveOne = async (value: Written) => refOf(value, await objects.write(pathOf(value), value.bytes));
  const read = async (ref: Ref): Promise<Uint8Array> => {
    const part = partOf(ref.uri);
    if (part === null) return await objects.read(ref.uri, ref.sizeBytes);
    const end = part.offset + ref.sizeBytes;
    return (await packs.read(part.pack, end)).slice(part.offset, end);
  };
  return {
    hashes,
    save: async (place, value, codec) =>
      await saveOne(written(await encodeInSteps(place, value, codec), own)),
    async saveTogether(encoded) {
      const values = encoded.map((value) => written(value, own));
      const [first] = values;
      if (first === undefined) return [];
      const isSmall = (encoded[0]?.bytes.byteLength ?? 0) <= PACKED_BYTES_MAX;
      const isAlone = values.length === 1 && !(isSmall && objects.append !== undefined);
      return isAlone ? [await saveOne(first)] : await savePack(objects, hashes, values);
    },
    sync: async () => await objects.sync?.(),
    async load(ref) {
      return decode(contentOf(ref, await read(ref), own), ref);
    },
    async has({ uri, sizeBytes }) {
      const part = partOf(uri);
      if (part === null) return (await objects.sizeOf(uri)) === sizeBytes;
      const size = await objects.sizeOf(part.pack);
      return size !== null && size >= part.offset + sizeBytes;
    },
    async saveAs({ name, value, ...named }) {
      const encoded = await encodeNamed(name, value);
      const stored = written(encoded, own);
      return await saveNamed(objects, {
        ...named,
        name,
        ref: refOf(stored, ""),
        path: pathOf(stored),
        bytes: stored.bytes,
      });
    },
    find: (name) => findNamed(objects, name),
  };
}

/** Encodes a value that is stored under a name. @throws NotSerialisable */
async function encodeNamed(name: string, value: unknown): Promise<Encoded> {
  const as = { codec: "exact", name: "result" } as const;
  const large = await encodeLarge(value, as);
  if (large !== null) return { ...large, folder: "", stem: name };
  const { codec, bytes } = encodeAs(value, as);
  return { codec, bytes, sha256: sha256Of(bytes), folder: "", stem: name };
}
