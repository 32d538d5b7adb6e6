import { StoreFault } from "../problem.ts";
import type { Objects } from "./objects.ts";
import { type Store, storeOver } from "./store.ts";

const SCHEME = "memory:///";

/** Objects in the memory of this process, for tests. */
export function memoryObjects(): Objects {
  const kept = new Map<string, Uint8Array>();
  return {
    uriOf: (path) => SCHEME + path,
    async write(path, bytes) {
      kept.set(path, bytes.slice());
      return SCHEME + path;
    },
    async read(uri, mostBytes) {
      const bytes = uri.startsWith(SCHEME) ? kept.get(uri.slice(SCHEME.length)) : undefined;
      if (!bytes) throw new StoreFault(`There is no value at ${uri}.`);
      if (bytes.byteLength > mostBytes)
        throw new StoreFault(`The value at ${uri} is not the saved one: it is larger.`);
      return bytes.slice();
    },
    async sizeOf(uri) {
      return (uri.startsWith(SCHEME) ? kept.get(uri.slice(SCHEME.length)) : undefined)?.byteLength ?? null;
    },
    async *list(folder) {
      const within = folder === "" ? "" : `${folder}/`;
      for (const [path, { byteLength }] of [...kept])
        if (path.startsWith(within)) yield { path, sizeBytes: byteLength, modifiedAtMs: 0 };
    },
    async remove(paths) {
      for (const path of paths) kept.delete(path);
    },
  };
}

/** A store in memory. It encodes and decodes values like any store. */
export function memoryStore(): Store {
  return storeOver(memoryObjects());
}
