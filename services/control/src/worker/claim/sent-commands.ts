import type { Command } from "@towpath/contract";

/** How long the same commands are not a reason to answer a poll at once again, milliseconds. */
const RETELL_MS = 1_000;
/** The most workers of whom anything is remembered. */
const TOLD_MAX = 10_000;

/** What the workers of a pool were told in this process, and who is still to be told something. */
export class SentCommands {
  readonly #told = new Map<string, { what: string; atMs: number }>();
  readonly #owed = new Set<string>();

  /**
   * Whether these commands are worth an answer at once: not if this worker has just been told the same, or polls would
   * spin until it has carried them out.
   */
  tells(workerId: string, commands: readonly Command[]): boolean {
    const what = JSON.stringify(commands);
    const last = this.#told.get(workerId);
    const atMs = performance.now();
    if (last !== undefined && last.what === what && atMs - last.atMs < RETELL_MS) return false;
    if (this.#told.size >= TOLD_MAX) this.#told.clear();
    this.#told.set(workerId, { what, atMs });
    return true;
  }

  /** Something was given to a worker that no poll took with it: its next one is told at once. */
  owe(workerId: string): void {
    if (this.#owed.size >= TOLD_MAX) this.#owed.clear();
    this.#owed.add(workerId);
  }

  /** Whether a worker is owed something. It is told now. */
  takeOwed(workerId: string): boolean {
    return this.#owed.delete(workerId);
  }
}
