import { readFileSync } from "node:fs";
import { createRequire, findPackageJSON } from "node:module";
import { dirname, join } from "node:path";
import { StoreFault } from "../problem.ts";

/*
 * Tables of Apache Arrow are written and read by the copy of the package that the flow's project uses, because a table of
 * one copy is unknown to another. The engine itself does not depend on the package.
 */

const PACKAGE = "apache-arrow";
/** Only in a bundle. */
declare const __towpathBundled: boolean | undefined;

/** The copies in bundles: each adds itself when the flow's code imports it. See `arrowInBundles` of the CLI. */
const BUNDLED = Symbol.for("towpath.arrow");

function bundledCopies(): readonly Arrow[] {
  const copies: unknown = Reflect.get(globalThis, BUNDLED);
  return Array.isArray(copies) ? copies.filter(isArrow) : [];
}

/** The type of a column. A dictionary has an id; lists and structs have children. */
interface ColumnType {
  readonly id?: number;
  readonly dictionary?: ColumnType | null;
  readonly children?: readonly Field[] | null;
}

interface Field {
  readonly type: ColumnType;
}

interface Schema {
  readonly fields: readonly Field[];
}

/** The parts of a table by which it is recognised. */
interface Table {
  readonly schema: Schema;
  readonly batches: readonly object[];
  readonly numRows: number;
}

/** A copy of the package. */
interface Arrow {
  readonly Table: { readonly prototype: object };
  tableToIPC(table: object): Uint8Array;
  tableFromIPC(bytes: Uint8Array): Table;
}

function isArrow(module: unknown): module is Arrow {
  if (typeof module !== "object" || module === null) return false;
  const { Table, tableToIPC, tableFromIPC }: { [name: string]: unknown } = { ...module };
  return [Table, tableToIPC, tableFromIPC].every((part) => typeof part === "function");
}

/** The files of the package that the code around a file imports: as an ES module, and as CommonJS. */
function filesNear(file: string): string[] {
  try {
    const manifest = findPackageJSON(PACKAGE, file);
    if (manifest === undefined) return [];
    const { module, main } = JSON.parse(readFileSync(manifest, "utf8"));
    return [module, main].map((path: unknown) => join(dirname(manifest), String(path)));
  } catch {
    return [];
  }
}

const require = createRequire(import.meta.url);

/** Loads a copy. If the flow has imported it, it is the same one. */
function loaded(file: string): unknown {
  try {
    return require(file);
  } catch {
    return null;
  }
}

let files: readonly string[] | null = null;

/** The copies of the package in this process, the project's first. Each is loaded only if the ones before are not enough. */
function* copies(): Generator<Arrow> {
  if (typeof __towpathBundled !== "undefined") return yield* bundledCopies();
  files ??= [...new Set([process.argv[1] ?? "", import.meta.filename].flatMap(filesNear))];
  for (const file of files) {
    const copy = loaded(file);
    if (isArrow(copy)) yield copy;
  }
}

/** Whether a value has the parts of a table of any copy. */
function isTable(value: object): value is Table {
  return "schema" in value && "batches" in value && "numCols" in value && "numRows" in value;
}

/** A copy of an object with other fields. */
function changed<Value extends object>(value: Value, fields: object): Value {
  return Object.assign(Object.create(Object.getPrototypeOf(value)), value, fields);
}

/**
 * The same table with its dictionaries numbered in their order. The package numbers the dictionaries of a process, so equal
 * tables would have other bytes in each attempt.
 */
function numbered(table: Table): Table {
  const ids = new Map<unknown, number>();
  const idOf = (id: unknown) => ids.get(id) ?? ids.set(id, ids.size).size - 1;
  const typeOf = (type: ColumnType): ColumnType => {
    const { dictionary } = type;
    if (dictionary) return changed(type, { id: idOf(type.id), dictionary: typeOf(dictionary) });
    return type.children ? changed(type, { children: type.children.map(fieldOf) }) : type;
  };
  const fieldOf = (field: Field): Field => changed(field, { type: typeOf(field.type) });
  const fields = table.schema.fields.map(fieldOf);
  if (ids.size === 0) return table;
  const schema = changed(table.schema, { fields, dictionaries: new Map() });
  return changed(table, {
    schema,
    batches: table.batches.map((batch) => changed(batch, { schema, _dictionaries: undefined })),
  });
}

/** A table as it is stored. */
export interface WrittenTable {
  readonly rows: number;
  /**
   * The table in Arrow's IPC format. Tables with the same columns in the same batches have the same bytes, also after they
   * were read back.
   */
  readonly bytes: Uint8Array;
}

/** A table that can be stored. */
export interface ArrowTable {
  /** Null: the package cannot write it. */
  write(): WrittenTable | null;
}

function written(copy: Arrow, table: Table): WrittenTable | null {
  try {
    return { rows: table.numRows, bytes: copy.tableToIPC(numbered(table)) };
  } catch {
    return null;
  }
}

/** The finding about a table that cannot be written. */
export const UNWRITABLE_TABLE = "an Arrow table with columns that apache-arrow cannot write";

/** A value as a table that can be stored. Null: it is none. Loads the package only for a value that looks like a table. */
export function arrowTableOf(value: object): ArrowTable | null {
  if (!isTable(value)) return null;
  const prototype: unknown = Object.getPrototypeOf(value);
  for (const copy of copies())
    if (copy.Table.prototype === prototype) return { write: () => written(copy, value) };
  return null;
}

/**
 * Reads a table back.
 * @param rows The number of its rows: the package reads some damaged bytes as an empty table.
 * @throws StoreFault if the package cannot be loaded; TypeError, or an error of the package, if the bytes are damaged.
 */
export function readArrowTable(bytes: Uint8Array, rows: unknown): unknown {
  const { value: copy } = copies().next();
  if (copy === undefined)
    throw new StoreFault(
      `An Arrow table is stored here, but the flow does not load the package "${PACKAGE}".`,
      {
        next: `Install it in the flow's project with \`npm install ${PACKAGE}\`, and import it in the flow's module.`,
      },
    );
  const table = copy.tableFromIPC(bytes);
  if (table.numRows !== rows) throw new TypeError("the table has another number of rows");
  return table;
}
