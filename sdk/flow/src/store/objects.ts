/** One object in a listing. */
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

/** The storage of a store: objects at paths, each written once and completely. */
export interface Objects {
  /**
   * Writes an object completely or not at all.
   * @param path Relative to the root; each part is safe as a file name.
   * @returns Its address.
   * @throws StoreFault
   */
  write(path: string, bytes: Uint8Array): Promise<string>;
  /**
   * Appends bytes to a pack in a folder. Only this process writes the pack. The bytes survive the process when this
   * resolves, and a crash of the machine after the next `sync`. Missing if an object of its own is cheaper.
   * @throws StoreFault
   */
  append?(folder: string, bytes: Uint8Array): Promise<Appended>;
  /** Resolves once all appended bytes survive a crash of the machine. @throws StoreFault if they may not. */
  sync?(): Promise<void>;
  /**
   * Reads an object of this store.
   * @throws StoreFault if the address lies outside of it, if there is nothing, or more than `mostBytes`.
   */
  read(uri: string, mostBytes: number): Promise<Uint8Array>;
  /**
   * The size of an object of this store, bytes. Null: there is none.
   * @throws StoreFault if the address lies outside of it, or if the store does not answer.
   */
  sizeOf(uri: string): Promise<number | null>;
  /** The address that an object has, or would have. */
  uriOf(path: string): string;
  /** Objects in a folder, at any depth and in any order; the empty path is the whole store. */
  list(folder: string): AsyncIterable<ListedObject>;
  /** Removes objects. Missing ones are ignored. */
  remove(paths: readonly string[]): Promise<void>;
}
