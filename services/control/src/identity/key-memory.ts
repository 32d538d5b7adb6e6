import { ANY_KEY, type Deps, Memory } from "../kernel/index.ts";
import type { KeyRow } from "./store.ts";

/** How long a key or a session is remembered as it was read, milliseconds: how late its end is heard whose wake was lost. */
export const KEY_MEMORY_MS = 5_000;
/** The most keys, and the most sessions, that are remembered. */
export const REMEMBERED_MAX = 10_000;

/**
 * Makes the memory of keys: each is asked of the database once in five seconds, and again as soon as it was revoked, in
 * whichever process. What is remembered is the row, of a revoked key too; its secret is compared at every call. One round
 * trip less for everybody who sends a key.
 */
export function keyMemory(deps: Deps): Memory<KeyRow> {
  const keys = new Memory<KeyRow>({ clock: deps.clock, forMs: KEY_MEMORY_MS, most: REMEMBERED_MAX });
  deps.wakes.subscribe("key", ANY_KEY, (keyId) => keys.forget(keyId));
  return keys;
}
