/** One object of a store, as a listing tells it. */
export interface ListedObject {
  /** Relative to the store's root, with `/`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

/** Where appended bytes begin. */
export interface Appended {
  readonly uri: string;
  readonly offset: number;
}

/** Where a store's bytes lie: objects under paths, each written once and whole. */
export interface Objects {
  /**
   * Writes an object, whole or not at all.
   * @param path Relative to the root; each part is safe as a file name.
   * @returns Its address.
   * @throws StoreFault
   */
  write(path: string, bytes: Uint8Array): Promise<string>;
  /**
   * Adds bytes to the end of a pack in a folder, which this process alone writes; they survive it when this resolves, and a
   * crash of the machine after the next `sync`. Only where that is cheaper than an object of their own.
   * @throws StoreFault
   */
  append?(folder: string, bytes: Uint8Array): Promise<Appended>;
  /** Resolves once all that was appended before survives a crash of the machine. @throws StoreFault if it may not. */
  sync?(): Promise<void>;
  /**
   * Reads an object of this store.
   * @throws StoreFault if the address lies outside of it, if there is nothing, or more than `mostBytes`.
   */
  read(uri: string, mostBytes: number): Promise<Uint8Array>;
  /** The address that an object has, or would have. */
  uriOf(path: string): string;
  /** Objects in a folder, at any depth and in any order; the empty path is the whole store. */
  list(folder: string): AsyncIterable<ListedObject>;
  /** Removes objects; those that are not there count as removed. */
  remove(paths: readonly string[]): Promise<void>;
}
