import { asyncBufferFromFile, type FileMetaData, parquetMetadataAsync, parquetRead } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { pause, type Watch } from "./pace.ts";
import { FlightsProblem } from "./problem.ts";
import { FLIGHT_COLUMNS, type FlightColumn, type Flights } from "./table.ts";

/** The most rows that fit into the memory limit of this example (2 GB). */
const MAX_FLIGHTS = 20_000_000;

/** The most airports. Later steps have dense tables by pair of airports, here of up to 4,000,000 pairs. */
const MAX_AIRPORTS = 2_000;
const MICROS_PER_MINUTE = 60_000_000;

/**
 * Reads flights from a parquet file, one row group at a time, into typed columns (12 bytes a row).
 *
 * `maxRows` reads only the first rows. They are in the order of departure, so these rows are a period. Progress counts rows.
 * @throws FlightsProblem `unreadable-file` if the file is missing, is not parquet, lacks a column or holds values out of range.
 */
export async function readFlights(
  source: { path: string; maxRows?: number | undefined },
  watch: Watch = {},
): Promise<Flights> {
  const file = await open(source.path);
  const rows = Math.min(Number(file.metadata.num_rows), source.maxRows ?? MAX_FLIGHTS);
  if (Number(file.metadata.num_rows) > MAX_FLIGHTS)
    throw unreadable(`it holds more than ${MAX_FLIGHTS} rows`);
  const filling = startFilling(rows);
  let rowsRead = 0;
  for (const group of file.metadata.row_groups) {
    if (rowsRead >= rows) break;
    const rowEnd = Math.min(rowsRead + Number(group.num_rows), rows);
    await fillRows(file, filling, { rowStart: rowsRead, rowEnd });
    rowsRead = rowEnd;
    watch.onProgress?.(rowsRead, rows);
    await pause(watch);
  }
  return finishFilling(filling, rowsRead);
}

interface OpenFile {
  buffer: Awaited<ReturnType<typeof asyncBufferFromFile>>;
  metadata: FileMetaData;
}

async function open(path: string): Promise<OpenFile> {
  try {
    const buffer = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(buffer);
    const found = new Set(metadata.schema.map((element) => element.name));
    const missing = FLIGHT_COLUMNS.filter((column) => !found.has(column));
    if (missing.length > 0) throw unreadable(`it has no column ${missing.join(", ")}`);
    return { buffer, metadata };
  } catch (cause) {
    if (cause instanceof FlightsProblem) throw cause;
    throw unreadable(`${path} cannot be read as parquet`, cause);
  }
}

/** The columns while they are filled. Airport codes are still in the order of appearance. */
interface Filling {
  departedAtMin: Int32Array;
  delayMin: Int16Array;
  distanceMiles: Uint16Array;
  origin: Uint16Array;
  destination: Uint16Array;
  codes: Map<string, number>;
  nulls: Record<FlightColumn, number>;
}

function startFilling(rows: number): Filling {
  return {
    departedAtMin: new Int32Array(rows),
    delayMin: new Int16Array(rows),
    distanceMiles: new Uint16Array(rows),
    origin: new Uint16Array(rows),
    destination: new Uint16Array(rows),
    codes: new Map(),
    nulls: { date: 0, delay: 0, distance: 0, origin: 0, destination: 0 },
  };
}

async function fillRows(
  file: OpenFile,
  filling: Filling,
  range: { rowStart: number; rowEnd: number },
): Promise<void> {
  try {
    await parquetRead({
      file: file.buffer,
      metadata: file.metadata,
      compressors,
      columns: [...FLIGHT_COLUMNS],
      ...range,
      // A Date object for each row costs more than reading the file, which has only minutes.
      parsers: { timestampFromMicroseconds: minuteFromMicros },
      onChunk: (chunk) => fillChunk(filling, chunk),
    });
  } catch (cause) {
    if (cause instanceof FlightsProblem) throw cause;
    throw unreadable(`rows ${range.rowStart} to ${range.rowEnd} cannot be decoded`, cause);
  }
}

interface Chunk {
  columnName: string;
  columnData: ArrayLike<unknown>;
  rowStart: number;
}

/** A chunk may have more rows than requested. Rows beyond the columns' end are dropped. */
function fillChunk(filling: Filling, chunk: Chunk): void {
  const column = FLIGHT_COLUMNS.find((name) => name === chunk.columnName);
  if (!column) return;
  const target = targetOf(filling, column);
  const count = Math.min(chunk.columnData.length, target.values.length - chunk.rowStart);
  for (let index = 0; index < count; index++) {
    const cell = chunk.columnData[index];
    if (cell === null || cell === undefined) filling.nulls[column]++;
    else target.values[chunk.rowStart + index] = target.read(cell);
  }
}

type Target = { values: Int32Array | Int16Array | Uint16Array; read: (cell: unknown) => number };

function targetOf(filling: Filling, column: FlightColumn): Target {
  const code = (cell: unknown) => codeOf(filling.codes, cell);
  const targets: Record<FlightColumn, Target> = {
    date: { values: filling.departedAtMin, read: wholeNumber({ column, from: -(2 ** 31), to: 2 ** 31 - 1 }) },
    delay: { values: filling.delayMin, read: wholeNumber({ column, from: -32_768, to: 32_767 }) },
    distance: { values: filling.distanceMiles, read: wholeNumber({ column, from: 0, to: 65_535 }) },
    origin: { values: filling.origin, read: code },
    destination: { values: filling.destination, read: code },
  };
  return targets[column];
}

function wholeNumber(bounds: { column: FlightColumn; from: number; to: number }): (cell: unknown) => number {
  return (cell) => {
    const value = typeof cell === "bigint" ? Number(cell) : cell;
    if (typeof value === "number" && Number.isInteger(value) && value >= bounds.from && value <= bounds.to)
      return value;
    throw unreadable(
      `column ${bounds.column} holds ${String(cell)}, which is not a whole number from ${bounds.from} to ${bounds.to}`,
    );
  };
}

function minuteFromMicros(micros: bigint): number {
  return Number(micros) / MICROS_PER_MINUTE;
}

function codeOf(codes: Map<string, number>, cell: unknown): number {
  if (typeof cell !== "string") throw unreadable("an airport code is not text");
  const known = codes.get(cell);
  if (known !== undefined) return known;
  if (codes.size >= MAX_AIRPORTS) throw unreadable(`it names more than ${MAX_AIRPORTS} airports`);
  codes.set(cell, codes.size);
  return codes.size - 1;
}

/** Renumbers the airports in alphabetical order, in place. */
function finishFilling(filling: Filling, rows: number): Flights {
  const { codes, ...columns } = filling;
  const airports = [...codes.keys()].sort();
  const renumbered = new Uint16Array(codes.size);
  for (const [index, airport] of airports.entries()) renumbered[codes.get(airport) ?? 0] = index;
  for (const column of [columns.origin, columns.destination]) {
    for (let row = 0; row < rows; row++) column[row] = renumbered[column[row] ?? 0] ?? 0;
  }
  return { ...columns, rows, airports };
}

function unreadable(finding: string, cause?: unknown): FlightsProblem {
  return new FlightsProblem("unreadable-file", [finding], { cause });
}
