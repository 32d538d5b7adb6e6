/** One batch of a flow's records: its highest number, and the last of the worker's own records that it became. */
interface Mark {
  readonly flow: number;
  readonly control: number;
}

interface Waiter {
  readonly seq: number;
  readonly wake: () => void;
}

/** Tells when the control plane has acknowledged what a flow wrote, by the flow's own numbers. */
export class StoredMarks {
  #marks: Mark[] = [];
  #stored = 0;
  #acked = 0;
  readonly #waiting = new Set<Waiter>();

  /** Whether somebody waits. */
  get isAwaited(): boolean {
    return this.#waiting.size > 0;
  }

  /** A batch is in the journal: everything of the flow up to `flow`, as control records up to `control`. */
  taken(mark: Mark): void {
    this.#marks.push(mark);
    this.#move();
  }

  /** The control plane has acknowledged the control lane up to here. */
  acknowledged(control: number): void {
    this.#acked = Math.max(this.#acked, control);
    this.#move();
  }

  /** Whether everything up to a number is stored, once it is, or as it is when the wait is over. */
  async until(seq: number, args: { waitMs?: number; signal: AbortSignal }): Promise<boolean> {
    if (this.#stored >= seq) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const over =
      args.waitMs === undefined
        ? args.signal
        : AbortSignal.any([args.signal, AbortSignal.timeout(args.waitMs)]);
    const waiter: Waiter = { seq, wake: resolve };
    this.#waiting.add(waiter);
    if (over.aborted) resolve();
    over.addEventListener("abort", waiter.wake, { once: true });
    await promise;
    over.removeEventListener("abort", waiter.wake);
    this.#waiting.delete(waiter);
    return this.#stored >= seq;
  }

  #move(): void {
    const due = this.#marks.filter(({ control }) => control <= this.#acked);
    if (due.length === 0) return;
    this.#marks = this.#marks.slice(due.length);
    this.#stored = Math.max(this.#stored, ...due.map(({ flow }) => flow));
    for (const { seq, wake } of this.#waiting) if (seq <= this.#stored) wake();
  }
}
