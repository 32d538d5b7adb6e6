/**
 * Heights of many rows of which most are alike: only those that differ are kept, so that a log of millions of rows takes no
 * more memory than what a reader has seen of it.
 */
export class RowHeights {
  readonly rowPx: number;
  /** What a row is higher than `rowPx`. */
  readonly #extra = new Map<number, number>();
  /** Those rows in order, and what all up to each are higher. Null: to be made anew. */
  #sums: { rows: number[]; upTo: number[] } | null = null;

  constructor(rowPx: number) {
    this.rowPx = rowPx;
  }

  /** Notes the height of a row. @returns whether that is changes */
  set(row: number, px: number): boolean {
    const extra = px - this.rowPx;
    if ((this.#extra.get(row) ?? 0) === extra) return false;
    if (extra === 0) this.#extra.delete(row);
    else this.#extra.set(row, extra);
    this.#sums = null;
    return true;
  }

  /** Where a row begins, in pixels from the first. */
  top(row: number): number {
    const { rows, upTo } = this.#summed();
    const before = firstAt(rows.length, (index) => (rows[index] ?? 0) >= row);
    return row * this.rowPx + (upTo[before - 1] ?? 0);
  }

  /** The row of `rows` that stands at a number of pixels from the first. */
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

/** The first index at which something holds that, once it does, goes on to hold; `count` where it never does. */
function firstAt(count: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
