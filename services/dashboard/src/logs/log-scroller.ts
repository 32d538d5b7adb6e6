import { RowHeights } from "./row-heights.ts";

/**
 * Browsers draw no element that is much higher. Beyond it, one pixel of the scrollbar stands for several pixels of
 * rows.
 */
const BOX_PX_MAX = 12_000_000;

/** A reader who is closer to the end than this is at the end, pixels. */
const END_PX = 24;

/** Rows above and below the view that are drawn too. */
const OVERSCAN_ROWS = 20;

/** Where the view is led: to the end, which moves, or to a row in the middle. Null: nowhere, the reader scrolls. */
type Aim = "end" | number | null;

/**
 * Decides which rows of a log are in view: any number of rows of any height, in a box that scrolls. It has no DOM:
 * callers report what the box does, and read what the box should do.
 */
export class LogScroller {
  #heights: RowHeights;
  #rows = 0;
  #viewPx = 0;
  /** The height of the rows above the view, pixels. */
  #topPx = 0;
  /** The scroll position of the box. */
  #barPx = 0;
  #aim: Aim;

  constructor(args: { rowPx: number; aim: Aim }) {
    this.#heights = new RowHeights(args.rowPx);
    this.#aim = args.aim;
  }

  get isFollowing(): boolean {
    return this.#aim === "end";
  }

  /** The height of the box's content. */
  get boxPx(): number {
    return Math.min(this.#allPx, BOX_PX_MAX);
  }

  /** The scroll position that the box should have. */
  get barPx(): number {
    return this.#barPx;
  }

  /** The rows to draw, and the position of the first one in the box. */
  get drawn(): { first: number; end: number; px: number } {
    const first = Math.max(0, this.firstSeen - OVERSCAN_ROWS);
    const last = this.#heights.rowAt(this.#topPx + this.#viewPx, this.#rows);
    return {
      first,
      end: Math.min(this.#rows, last + 1 + OVERSCAN_ROWS),
      px: this.#barPx - this.#topPx + this.#heights.top(first),
    };
  }

  /** The first row in view. */
  get firstSeen(): number {
    return Math.min(this.#heights.rowAt(this.#topPx, this.#rows), Math.max(0, this.#rows - 1));
  }

  /** Whether a row is in view. */
  sees(row: number): boolean {
    const px = this.#heights.top(row) - this.#topPx;
    return row < this.#rows && px >= 0 && px + this.#heights.rowPx <= this.#viewPx;
  }

  /** Sets the number of rows. */
  setRows(rows: number): void {
    this.#rows = rows;
    this.#settle();
  }

  /** Sets the height of the view. */
  setView(px: number): void {
    this.#viewPx = px;
    this.#settle();
  }

  /** Leads the view to the end or to a row. */
  aimAt(aim: "end" | number): void {
    this.#aim = aim;
    this.#settle();
  }

  /** Forgets the measured heights, for another log or another wrapping. */
  forgetHeights(): void {
    const row = this.firstSeen;
    this.#heights = new RowHeights(this.#heights.rowPx);
    this.#topPx = this.#heights.top(row);
    this.#settle();
  }

  /**
   * Stores the measured heights of rows. The first row in view keeps its position.
   * @returns whether anything moved
   */
  measured(heights: Iterable<readonly [row: number, px: number]>): boolean {
    const row = this.firstSeen;
    const into = this.#topPx - this.#heights.top(row);
    let isChange = false;
    for (const [one, px] of heights) isChange = this.#heights.set(one, px) || isChange;
    if (!isChange) return false;
    this.#topPx = this.#heights.top(row) + into;
    this.#settle();
    return true;
  }

  /** The scrollbar was moved, by the reader or by the program. */
  scrolled(barPx: number): void {
    const by = barPx - this.#barPx;
    if (Math.abs(by) < 1) return;
    const isNear = Math.abs(by) < 2 * this.#viewPx;
    const [all, box] = [this.#allPx - this.#viewPx, this.boxPx - this.#viewPx];
    this.#barPx = barPx;
    const isScaled = this.#allPx > this.boxPx;
    const isAtEdge = barPx <= 0 || barPx >= box - 1;
    this.#topPx = !isScaled
      ? barPx
      : isNear && !isAtEdge
        ? this.#topPx + by
        : (barPx / Math.max(1, box)) * all;
    this.#aim = all - this.#topPx < END_PX ? "end" : null;
    this.#topPx = Math.max(0, Math.min(this.#topPx, all));
  }

  /** The reader has released the scrollbar, which may now move to its exact position. */
  rested(): void {
    this.#placeBar();
  }

  get #allPx(): number {
    return this.#heights.top(this.#rows);
  }

  #settle(): void {
    const most = Math.max(0, this.#allPx - this.#viewPx);
    if (this.#aim === "end") this.#topPx = most;
    else if (this.#aim !== null) {
      const middle = (this.#viewPx - this.#heights.rowPx) / 2;
      this.#topPx = this.#heights.top(Math.min(this.#aim, this.#rows)) - middle;
    }
    this.#topPx = Math.max(0, Math.min(this.#topPx, most));
    this.#placeBar();
  }

  #placeBar(): void {
    const [all, box] = [this.#allPx - this.#viewPx, this.boxPx - this.#viewPx];
    this.#barPx = all <= box ? this.#topPx : (this.#topPx / all) * box;
  }
}
