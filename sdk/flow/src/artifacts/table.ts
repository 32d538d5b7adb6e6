import type { ArtifactBody } from "@towpath/contract";
import { LIMITS } from "@towpath/contract/words";
import { ArtifactRefused } from "../problem.ts";
import { storedHint } from "./post.ts";

/** One cell of a table artifact. */
export type Cell = string | number | boolean | null;

/** A row: cells in the columns' order, or an object with the columns' names. */
export type TableRow = readonly (Cell | undefined)[] | { readonly [column: string]: Cell | undefined };

/** A table. */
export interface TableArtifact {
  /** The latest body of a key is shown. */
  readonly key: string;
  readonly title?: string;
  /** @default the names in the first row, if rows are objects */
  readonly columns?: readonly string[];
  readonly rows: readonly TableRow[];
}

type TableBody = Extract<ArtifactBody, { kind: "table" }>;

const COLUMNS_MAX = 64;
const COLUMN_CHARS_MAX = 200;

function isList(row: TableRow): row is readonly (Cell | undefined)[] {
  return Array.isArray(row);
}

function columnsOf(table: TableArtifact): readonly string[] {
  if (table.columns) return table.columns;
  const [first] = table.rows;
  if (first === undefined || isList(first))
    throw new ArtifactRefused(table.key, "has rows of cells but no columns");
  return Object.keys(first);
}

/** JSON has no NaN and no infinity: they are shown as text. */
function cellOf(cell: Cell | undefined): Cell {
  if (cell === undefined) return null;
  return typeof cell === "number" && !Number.isFinite(cell) ? String(cell) : cell;
}

/**
 * The body of a table artifact.
 * @throws ArtifactRefused if it has too many columns or rows, or a row of another length.
 */
export function tableBody(table: TableArtifact, { rows: rowsMax }: { readonly rows: number }): TableBody {
  const columns = columnsOf(table);
  if (columns.length > COLUMNS_MAX || columns.some((column) => column.length > COLUMN_CHARS_MAX))
    throw new ArtifactRefused(
      table.key,
      `can have at most ${COLUMNS_MAX} columns, with names of at most ${COLUMN_CHARS_MAX} characters`,
    );
  if (table.rows.length > rowsMax)
    throw new ArtifactRefused(
      table.key,
      `has ${table.rows.length} rows; the limit is ${rowsMax}${storedHint(rowsMax, LIMITS.storedRows)}`,
    );
  const rows = table.rows.map((row, index) => {
    if (!isList(row)) return columns.map((column) => cellOf(row[column]));
    if (row.length === columns.length) return row.map(cellOf);
    throw new ArtifactRefused(
      table.key,
      `has ${columns.length} columns, but row ${index + 1} has ${row.length} cells`,
    );
  });
  return { kind: "table", columns: [...columns], rows };
}
