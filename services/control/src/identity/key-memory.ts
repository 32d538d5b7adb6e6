import { ANY_KEY, type Deps, Memory } from "../kernel/index.ts";
import type { KeyRow } from "./store.ts";

/** How long a key or session stays cached, milliseconds. A lost wake-up delays its end by at most this long. */
export const KEY_MEMORY_MS = 5_000;
/** The most keys, and the most sessions, that are cached. */
export const REMEMBERED_MAX = 10_000;

/**
 * Makes the cache of keys. Each key is read again after five seconds, or at once when any process revokes it. The
 * cache holds the row, also of a revoked key; the secret is compared at every call.
 */
export function keyMemory(deps: Deps): Memory<KeyRow> {
  const keys = new Memory<KeyRow>({ clock: deps.clock, forMs: KEY_MEMORY_MS, most: REMEMBERED_MAX });
  deps.wakes.subscribe("key", ANY_KEY, (keyId) => keys.forget(keyId));
  return keys;
}
