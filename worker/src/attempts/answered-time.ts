/** The longest silence between two answers that still counts, milliseconds: a poll waits for as long as 25 seconds. */
const SILENCE_MAX_MS = 30_000;

/**
 * Counts the time in which the control plane answers this worker and takes its reports. What nobody could answer for want of a control plane
 * is not stuck.
 */
export class AnsweredTime {
  #totalMs = 0;
  /** When the last answer came. Null: before the first, and since a report failed. */
  #lastAtMs: number | null = null;
  #reportsFail = false;

  /** Milliseconds since the worker's start. */
  get totalMs(): number {
    return this.#totalMs;
  }

  /** A call was answered that is no report. */
  answered(nowMs: number): void {
    if (this.#reportsFail) return;
    if (this.#lastAtMs !== null) this.#totalMs += Math.min(SILENCE_MAX_MS, nowMs - this.#lastAtMs);
    this.#lastAtMs = nowMs;
  }

  /** A report was answered. */
  reported(nowMs: number): void {
    this.#reportsFail = false;
    this.answered(nowMs);
  }

  /** A report was not. */
  reportFailed(): void {
    this.#reportsFail = true;
    this.#lastAtMs = null;
  }
}
