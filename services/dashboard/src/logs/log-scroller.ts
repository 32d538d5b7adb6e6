import { RowHeights } from "./row-heights.ts";

/** Browsers draw no element that is much higher: past it, the bar moves through more rows than it has pixels for. */
const BOX_PX_MAX = 12_000_000;

/** Pixels from the end within which a reader is at it. */
const END_PX = 24;

/** Rows above and below what is seen that are drawn as well. */
const OVERSCAN_ROWS = 20;

/** Where the reader is led: to the end, as it moves on, or to a row in the middle. Null: nowhere, the reader scrolls. */
type Aim = "end" | number | null;

/**
 * What of a log is in view: rows of any number and height in a box that scrolls. It knows nothing of a page: it is told
 * what the box does, and says what the box should do.
 */
export class LogScroller {
  #heights: RowHeights;
  #rows = 0;
  #viewPx = 0;
  /** What is above the view, in pixels of rows. */
  #topPx = 0;
  /** Where the box's bar stands. */
  #barPx = 0;
  #aim: Aim;

  constructor(args: { rowPx: number; aim: Aim }) {
    this.#heights = new RowHeights(args.rowPx);
    this.#aim = args.aim;
  }

  get isFollowing(): boolean {
    return this.#aim === "end";
  }

  /** How high the inside of the box is. */
  get boxPx(): number {
    return Math.min(this.#allPx, BOX_PX_MAX);
  }

  /** Where the bar should stand. */
  get barPx(): number {
    return this.#barPx;
  }

  /** The rows to draw, and where in the box the first of them begins. */
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

  /** There are so many rows now. */
  setRows(rows: number): void {
    this.#rows = rows;
    this.#settle();
  }

  /** So much is in view. */
  setView(px: number): void {
    this.#viewPx = px;
    this.#settle();
  }

  /** Leads the reader to the end or to a row. */
  aimAt(aim: "end" | number): void {
    this.#aim = aim;
    this.#settle();
  }

  /** Rows are of other heights than before: another log, or lines that wrap otherwise. */
  forgetHeights(): void {
    const row = this.firstSeen;
    this.#heights = new RowHeights(this.#heights.rowPx);
    this.#topPx = this.#heights.top(row);
    this.#settle();
  }

  /** Rows were drawn, and are as high as this. What the reader looks at stays where it is. @returns whether anything moved */
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

  /** The bar was moved, by the reader or as a consequence of what it was told to. */
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

  /** The reader has let go of the bar: it may stand where it belongs. */
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
