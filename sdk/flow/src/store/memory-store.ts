import type { Ref } from "@towpath/contract";
import { StoreFault } from "../problem.ts";
import { decode } from "./codec.ts";
import { checkContent, encodeAt, type Store } from "./store.ts";

/** A store that lives as long as its process, for tests. Values are encoded and decoded like anywhere else. */
export function memoryStore(): Store {
  const kept = new Map<string, Uint8Array>();
  return {
    async save(place, value, codec) {
      const encoded = encodeAt(place, value, codec);
      const uri = `memory:///${encoded.path}`;
      kept.set(uri, encoded.bytes.slice());
      return { uri, codec: encoded.codec, sizeBytes: encoded.bytes.byteLength, sha256: encoded.sha256 };
    },
    async load(ref: Ref) {
      const bytes = kept.get(ref.uri);
      if (!bytes) throw new StoreFault(`There is nothing at ${ref.uri}.`);
      checkContent(ref, bytes);
      return decode(bytes.slice(), ref);
    },
  };
}
