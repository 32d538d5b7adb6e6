import { FlightsProblem } from "./problem.ts";

/** One of the typed arrays that {@link encodeColumns} writes. */
export type Column = Uint8Array | Int16Array | Uint16Array | Int32Array | Float32Array;

interface Place {
  buffer: ArrayBufferLike;
  offset: number;
  length: number;
}

/** The kinds of column a file may hold, by the name of their array. */
const COLUMN_KINDS = {
  Uint8Array: { elementBytes: 1, look: (at: Place) => new Uint8Array(at.buffer, at.offset, at.length) },
  Int16Array: { elementBytes: 2, look: (at: Place) => new Int16Array(at.buffer, at.offset, at.length) },
  Uint16Array: { elementBytes: 2, look: (at: Place) => new Uint16Array(at.buffer, at.offset, at.length) },
  Int32Array: { elementBytes: 4, look: (at: Place) => new Int32Array(at.buffer, at.offset, at.length) },
  Float32Array: { elementBytes: 4, look: (at: Place) => new Float32Array(at.buffer, at.offset, at.length) },
} as const satisfies Record<string, { elementBytes: number; look: (at: Place) => Column }>;
type ColumnKind = keyof typeof COLUMN_KINDS;

/** Typed arrays by name, with whatever small JSON describes them. */
export interface ColumnsFile {
  about: unknown;
  columns: Record<string, Column>;
}

/** First bytes of such a file. */
const MAGIC = "TPCOLS1\n";
/** Columns begin at multiples of this, so that a reader can look at them where they lie. */
const ALIGNMENT = 8;
const MAX_HEADER_BYTES = 16 * 1024 * 1024;
const MAX_COLUMNS = 1_000;

interface Header {
  about: unknown;
  columns: { name: string; kind: ColumnKind; length: number }[];
}

/**
 * Writes columns as bytes: magic (8 bytes), length of the header (32 bits, little endian), header (JSON), then each column as it lies
 * in memory (little endian), every part padded to 8 bytes.
 */
export function encodeColumns(file: ColumnsFile): Uint8Array {
  const entries = Object.entries(file.columns);
  const header: Header = {
    about: file.about,
    columns: entries.map(([name, column]) => ({ name, kind: kindOf(column), length: column.length })),
  };
  const headerBytes = new TextEncoder().encode(JSON.stringify(header));
  const prefix = MAGIC.length + 4;
  const size = entries.reduce(
    (sum, [, column]) => sum + aligned(column.byteLength),
    aligned(prefix + headerBytes.length),
  );
  const bytes = new Uint8Array(size);
  bytes.set(new TextEncoder().encode(MAGIC));
  new DataView(bytes.buffer).setUint32(MAGIC.length, headerBytes.length, true);
  bytes.set(headerBytes, prefix);
  let offset = aligned(prefix + headerBytes.length);
  for (const [, column] of entries) {
    bytes.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), offset);
    offset += aligned(column.byteLength);
  }
  return bytes;
}

/**
 * Reads what {@link encodeColumns} wrote. The columns share the memory of `bytes` where it is aligned, else of one copy.
 * @throws FlightsProblem `unreadable-file` if the bytes are something else or were cut short.
 */
export function decodeColumns(bytes: Uint8Array): ColumnsFile {
  const own = bytes.byteOffset % ALIGNMENT === 0 ? bytes : bytes.slice();
  const header = readHeader(own);
  const columns: Record<string, Column> = {};
  let offset = header.dataFrom;
  for (const { name, kind, length } of header.columns) {
    const byteLength = length * COLUMN_KINDS[kind].elementBytes;
    if (offset + byteLength > own.byteLength) throw unreadable(`column ${name} is cut short`);
    columns[name] = COLUMN_KINDS[kind].look({ buffer: own.buffer, offset: own.byteOffset + offset, length });
    offset += aligned(byteLength);
  }
  return { about: header.about, columns };
}

function readHeader(bytes: Uint8Array): Header & { dataFrom: number } {
  const prefix = MAGIC.length + 4;
  if (bytes.length < prefix || new TextDecoder().decode(bytes.subarray(0, MAGIC.length)) !== MAGIC) {
    throw unreadable("it is not a file of columns");
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(MAGIC.length, true);
  if (length > MAX_HEADER_BYTES || prefix + length > bytes.length)
    throw unreadable("its header is cut short");
  const header = parseHeader(new TextDecoder().decode(bytes.subarray(prefix, prefix + length)));
  return { ...header, dataFrom: aligned(prefix + length) };
}

function parseHeader(text: string): Header {
  try {
    const header: unknown = JSON.parse(text);
    if (isHeader(header)) return header;
  } catch (cause) {
    throw unreadable("its header is not JSON", cause);
  }
  throw unreadable("its header does not describe columns");
}

function isHeader(value: unknown): value is Header {
  if (typeof value !== "object" || value === null || !("about" in value) || !("columns" in value))
    return false;
  const { columns } = value;
  return Array.isArray(columns) && columns.length <= MAX_COLUMNS && columns.every(isColumnHead);
}

function isColumnHead(value: unknown): value is Header["columns"][number] {
  if (typeof value !== "object" || value === null) return false;
  if (!("name" in value) || !("kind" in value) || !("length" in value)) return false;
  const { name, kind, length } = value;
  const isCount = typeof length === "number" && Number.isSafeInteger(length) && length >= 0;
  return isCount && typeof name === "string" && typeof kind === "string" && Object.hasOwn(COLUMN_KINDS, kind);
}

/** A typed array's tag is the name of its class, whatever realm it comes from. */
function kindOf(column: Column): ColumnKind {
  return column[Symbol.toStringTag];
}

function aligned(size: number): number {
  return Math.ceil(size / ALIGNMENT) * ALIGNMENT;
}

function unreadable(finding: string, cause?: unknown): FlightsProblem {
  return new FlightsProblem("unreadable-file", [finding], { cause });
}
