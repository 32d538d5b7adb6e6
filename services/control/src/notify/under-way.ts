/** Deliveries that this process is sending, by workspace. */
export class UnderWay {
  readonly #counts = new Map<string, number>();
  readonly #all = new Set<Promise<void>>();

  get size(): number {
    return this.#all.size;
  }

  /** How many, by workspace. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Counts one until it is over. @param sending never rejects. */
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

  /** Once one of them is over. */
  async next(): Promise<void> {
    await Promise.race(this.#all);
  }
}
