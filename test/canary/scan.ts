import { constants as flush, inflateRawSync } from "node:zlib";

/** A kind of value, such as "answer", with a random text that stands for it in one run of the tests. */
export type Canaries = ReadonlyMap<string, string>;

/** Finds canaries in bytes, however they are encoded. */
export interface Scanner {
  /** The kinds whose canary is in the bytes, or in what they hold compressed, in base64 or in hex. */
  kindsIn(bytes: Buffer): ReadonlySet<string>;
}

/** The part of a canary that is looked for. The rest is a quote and letters that encodings must escape. */
const CORE = /[A-Za-z0-9]{24}/;
/** Compression in Postgres cuts a text into pieces of at most eight literal bytes. */
const PIECE = 8;
const GZIP = Buffer.from([0x1f, 0x8b, 0x08]);
const ZLIB = [0x01, 0x5e, 0x9c, 0xda].map((level) => Buffer.from([0x78, level]));
/** Layers of encoding that are taken off, such as base64 of gzip. */
const LAYERS_MAX = 3;

const piecesOf = (text: string): Buffer[] =>
  Array.from({ length: text.length - PIECE + 1 }, (_, at) => Buffer.from(text.slice(at, at + PIECE)));

/** Base64 at each alignment, standard and URL-safe, without the characters that neighbours decide. */
function inBase64(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    const own = text.slice(Math.ceil((shift * 8) / 6), Math.floor(((bytes.length + shift) * 8) / 6));
    return [own, own.replaceAll("+", "-").replaceAll("/", "_")];
  });
}

/** Every form in which a text may stand in bytes. Each is at least eight bytes long. */
export function formsOf(text: string): ReadonlyMap<string, readonly Buffer[]> {
  const plain = Buffer.from(text);
  const little = Buffer.from(text, "utf16le");
  const big = Buffer.from(little).swap16();
  const hex = plain.toString("hex");
  const each = (prefix: string) => [...text].map((one) => prefix + one.charCodeAt(0).toString(16)).join("");
  const upper = (prefix: string) => each("").replace(/../g, (digits) => prefix + digits.toUpperCase());
  return new Map([
    ["plain", piecesOf(text)],
    ["base64", inBase64(plain).flatMap(piecesOf)],
    ["hex", [Buffer.from(hex), Buffer.from(hex.toUpperCase())]],
    ["JSON escapes", [Buffer.from(each("\\u00")), Buffer.from(upper("\\u00"))]],
    ["URL escapes", [Buffer.from(each("%")), Buffer.from(upper("%"))]],
    ["UTF-16", [little, big]],
    // Whole: a piece would be three letters, which chance finds.
    ["base64 of UTF-16", [little, big].flatMap(inBase64).map((one) => Buffer.from(one))],
  ]);
}

interface Needle {
  readonly kind: string;
  readonly bytes: Buffer;
}

/** Needles by their first four bytes. `starts` has a one for each first two bytes. */
function indexOf(needles: readonly Needle[]) {
  const starts = new Uint8Array(65_536);
  const byStart = new Map<number, Needle[]>();
  for (const needle of needles) {
    starts[needle.bytes.readUInt16BE(0)] = 1;
    const start = needle.bytes.readUInt32BE(0);
    byStart.set(start, [...(byStart.get(start) ?? []), needle]);
  }
  return { starts, byStart };
}

/** What the bytes hold in base64, in hex, or compressed. */
function* inside(bytes: Buffer): Generator<Buffer> {
  const text = bytes.toString("latin1");
  // A run may begin with letters that do not belong to the encoding.
  for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{24,}/g))
    for (let from = 0; from < 4; from++) yield Buffer.from(run.slice(from), "base64url");
  for (const [run] of text.matchAll(/[0-9a-fA-F]{32,}/g))
    for (const from of [0, 1]) yield Buffer.from(run.slice(from), "hex");
  for (const start of compressedIn(bytes)) {
    try {
      // Raw, so that neither what follows nor a missing end matters.
      yield inflateRawSync(bytes.subarray(start), { finishFlush: flush.Z_SYNC_FLUSH });
    } catch {
      // These bytes look like the start of something compressed, and are not.
    }
  }
}

/** The first bytes behind each header of gzip, with or without a file's name, and of zlib. */
function compressedIn(bytes: Buffer): number[] {
  const gzip = allOf(GZIP, bytes).map((at) =>
    bytes[at + 3] === 8 ? bytes.indexOf(0, at + 10) + 1 : at + 10,
  );
  return [...gzip, ...ZLIB.flatMap((head) => allOf(head, bytes)).map((at) => at + 2)];
}

function allOf(head: Buffer, bytes: Buffer): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(head); at !== -1; at = bytes.indexOf(head, at + 1)) places.push(at);
  return places;
}

/** @param forms The forms to look for, by their names in {@link formsOf}. Default: all. */
export function createScanner(canaries: Canaries, forms?: readonly string[]): Scanner {
  const needles = [...canaries].flatMap(([kind, text]) =>
    [...formsOf(CORE.exec(text)?.[0] ?? text)]
      .filter(([form]) => forms === undefined || forms.includes(form))
      .flatMap(([, found]) => found.map((bytes): Needle => ({ kind, bytes }))),
  );
  const { starts, byStart } = indexOf(needles);
  const search = (bytes: Buffer, found: Set<string>) => {
    for (let at = 0; at + PIECE <= bytes.length; at++) {
      if (starts[((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)] === 0) continue;
      for (const needle of byStart.get(bytes.readUInt32BE(at)) ?? [])
        if (needle.bytes.equals(bytes.subarray(at, at + needle.bytes.length))) found.add(needle.kind);
    }
  };
  const scan = (bytes: Buffer, layers: number, found: Set<string>) => {
    search(bytes, found);
    if (layers === 0) return;
    for (const inner of inside(bytes)) scan(inner, layers - 1, found);
  };
  return {
    kindsIn(bytes) {
      const found = new Set<string>();
      scan(bytes, LAYERS_MAX, found);
      return found;
    },
  };
}
