import { ANY_KEY, Cache, type Deps } from "../kernel/index.ts";
import type { KeyRow } from "./store.ts";

/** How long a key or session stays cached, milliseconds. A lost wake-up delays its end by at most this long. */
export const KEY_CACHE_MS = 5_000;
/** The most keys, and the most sessions, that are cached. */
export const CACHED_MAX = 10_000;

/**
 * Makes the cache of keys. Each key is read again after five seconds, or at once when any process revokes it. The
 * cache holds the row, also of a revoked key; the secret is compared at every call.
 */
export function keyCache(deps: Deps): Cache<KeyRow> {
  const keys = new Cache<KeyRow>({ clock: deps.clock, forMs: KEY_CACHE_MS, most: CACHED_MAX });
  deps.wakes.subscribe("key", ANY_KEY, (keyId) => keys.forget(keyId));
  return keys;
}
