import type { ArtifactBody } from "@towpath/contract";
import { harmless } from "./style.ts";

/** Cells are shown whatever they hold. */
type TableBody = Pick<Extract<ArtifactBody, { kind: "table" }>, "columns"> & {
  readonly rows: readonly (readonly unknown[])[];
};

const CELL_CHARS_MAX = 60;
const ROWS_SHOWN_MAX = 40;

function cellText(cell: unknown): string {
  const text = cell === null ? "" : typeof cell === "string" ? cell : JSON.stringify(cell);
  const line = harmless(text).replace(/\s+/g, " ");
  return line.length <= CELL_CHARS_MAX ? line : `${line.slice(0, CELL_CHARS_MAX - 1)}…`;
}

function isNumeric(column: readonly unknown[]): boolean {
  return (
    column.some((cell) => typeof cell === "number") &&
    column.every((cell) => cell === null || typeof cell === "number")
  );
}

/** A table as lines of text: numbers to the right, everything else to the left. */
export function drawTable(table: TableBody): string[] {
  const shown = table.rows.slice(0, ROWS_SHOWN_MAX);
  const columns = table.columns.map((title, index) => {
    const cells = shown.map((row) => row[index] ?? null);
    const texts = [cellText(title), ...cells.map(cellText)];
    const width = Math.max(...texts.map((text) => text.length));
    const padded = texts.map((text) => (isNumeric(cells) ? text.padStart(width) : text.padEnd(width)));
    return { width, padded };
  });
  const line = (row: number) =>
    columns
      .map((column) => column.padded[row] ?? "")
      .join("  ")
      .trimEnd();
  const rule = columns.map((column) => "─".repeat(column.width)).join("  ");
  const body = shown.map((_, index) => line(index + 1));
  const rest = table.rows.length - shown.length;
  return [line(0), rule, ...body, ...(rest > 0 ? [`… and ${rest} more rows`] : [])];
}
