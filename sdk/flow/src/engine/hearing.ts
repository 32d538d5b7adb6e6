/** Where it is told which waits are over by now, for its listeners. */
export class Hearing {
  #listener: (paths: readonly string[]) => void = () => {};
  #told: readonly string[] = [];

  /** Tells of all that are over, those told before included. */
  tell(paths: readonly string[]): void {
    this.#told = paths;
    if (paths.length > 0) this.#listener(paths);
  }

  /** Calls the listener with what was told before, if anything was, and at each changes. */
  listen(listener: (paths: readonly string[]) => void): void {
    this.#listener = listener;
    if (this.#told.length > 0) listener(this.#told);
  }
}
