/** Deliveries that this process is sending, by workspace. */
export class InFlight {
  readonly #counts = new Map<string, number>();
  readonly #all = new Set<Promise<void>>();

  get size(): number {
    return this.#all.size;
  }

  /** The number of deliveries by workspace. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Counts a delivery until it ends. @param sending never rejects. */
  add(workspaceId: string, sending: Promise<void>): void {
    this.#counts.set(workspaceId, (this.#counts.get(workspaceId) ?? 0) + 1);
    const counted = sending.then(() => {
      this.#all.delete(counted);
      const left = (this.#counts.get(workspaceId) ?? 1) - 1;
      if (left > 0) this.#counts.set(workspaceId, left);
      else this.#counts.delete(workspaceId);
    });
    this.#all.add(counted);
  }

  /** Waits until one of them ends. */
  async next(): Promise<void> {
    await Promise.race(this.#all);
  }
}
