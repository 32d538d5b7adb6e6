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
  #isReporting = false;

  /** Milliseconds since the worker's start. */
  get totalMs(): number {
    return this.#totalMs;
  }

  /** A call was answered that is no report. While a report is under way, that says nothing of reports. */
  answered(nowMs: number): void {
    if (this.#reportsFail || this.#isReporting) return;
    if (this.#lastAtMs !== null) this.#totalMs += Math.min(SILENCE_MAX_MS, nowMs - this.#lastAtMs);
    this.#lastAtMs = nowMs;
  }

  /** A report is sent. */
  reportSent(): void {
    this.#isReporting = true;
  }

  /** A report was answered. */
  reported(nowMs: number): void {
    this.#reportsFail = false;
    this.#isReporting = false;
    this.answered(nowMs);
  }

  /** A report was refused as such: the next answer counts again. */
  reportRefused(): void {
    this.#isReporting = false;
  }

  /** A report was not answered. */
  reportFailed(): void {
    this.#reportsFail = true;
    this.#isReporting = false;
    this.#lastAtMs = null;
  }
}
