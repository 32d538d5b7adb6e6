import { ANY_KEY, type Deps } from "../kernel/index.ts";
import { findKey, type KeyRow } from "./store.ts";

/** How long a key is remembered as it was read, milliseconds: how late a revocation is heard whose wake was lost. */
export const KEY_MEMORY_MS = 5_000;
/** The most keys that are remembered. */
const KEYS_MAX = 10_000;

interface Remembered {
  readonly key: KeyRow;
  readonly untilMs: number;
}

/**
 * Makes the reading of keys: each is asked of the database once in five seconds, and again as soon as any key of the
 * installation was revoked, in whichever process. What is remembered is the row; its secret is compared at every call.
 * One round trip less for everybody who sends a key.
 * @returns the key, and whether it was read just now. Null: there is none. That is not remembered.
 */
export function keyMemory(deps: Deps): (keyId: string) => Promise<{ key: KeyRow; fresh: boolean } | null> {
  let known = new Map<string, Remembered>();
  // A new map, not an emptied one: what was being read meanwhile may be from before, and must not be kept.
  deps.wakes.subscribe("key", ANY_KEY, () => {
    known = new Map();
  });
  return async (keyId) => {
    const keys = known;
    const found = keys.get(keyId);
    if (found !== undefined && deps.clock.nowMs() < found.untilMs) return { key: found.key, fresh: false };
    const key = await findKey(deps.database.db, keyId);
    if (key === null) return null;
    if (keys.size >= KEYS_MAX) keys.clear();
    keys.set(keyId, { key, untilMs: deps.clock.nowMs() + KEY_MEMORY_MS });
    return { key, fresh: true };
  };
}
