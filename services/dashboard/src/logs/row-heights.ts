/**
 * The heights of many rows. Only heights that differ from the default are stored, so a log of millions of rows needs
 * little memory.
 */
export class RowHeights {
  readonly rowPx: number;
  /** The difference to `rowPx`, by row. */
  readonly #extra = new Map<number, number>();
  /** The rows in order, with the sum of the differences up to each. Null: must be computed again. */
  #sums: { rows: number[]; upTo: number[] } | null = null;

  constructor(rowPx: number) {
    this.rowPx = rowPx;
  }

  /**
   * Sets the height of a row.
   * @returns whether it has changed
   */
  set(row: number, px: number): boolean {
    const extra = px - this.rowPx;
    if ((this.#extra.get(row) ?? 0) === extra) return false;
    if (extra === 0) this.#extra.delete(row);
    else this.#extra.set(row, extra);
    this.#sums = null;
    return true;
  }

  /** The position of a row, in pixels from the first row. */
  top(row: number): number {
    const { rows, upTo } = this.#summed();
    const before = firstAt(rows.length, (index) => (rows[index] ?? 0) >= row);
    return row * this.rowPx + (upTo[before - 1] ?? 0);
  }

  /** The row at a position, in pixels from the first row. */
  rowAt(px: number, rows: number): number {
    return Math.max(
      0,
      firstAt(rows, (row) => this.top(row + 1) > px),
    );
  }

  #summed(): { rows: number[]; upTo: number[] } {
    if (this.#sums !== null) return this.#sums;
    const rows = [...this.#extra.keys()].toSorted((a, b) => a - b);
    let sum = 0;
    const upTo = rows.map((row) => {
      sum += this.#extra.get(row) ?? 0;
      return sum;
    });
    this.#sums = { rows, upTo };
    return this.#sums;
  }
}

/** Binary search: the first index for which a monotonic condition holds, else `count`. */
function firstAt(count: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
