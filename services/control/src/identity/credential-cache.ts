import { ANY_KEY, Cache, type Deps, type Turn } from "../kernel/index.ts";
import { hashSecret } from "./secrets.ts";
import { type FoundKey, findSession, type SessionRow } from "./store.ts";

/** How long a key or session stays cached, milliseconds. A lost wake-up delays its end by at most this long. */
export const KEY_CACHE_MS = 5_000;
/** The most keys, and the most sessions, that are cached. */
export const CACHED_MAX = 10_000;

/**
 * Makes the cache of keys. Each key is read again after five seconds, or at once when any process revokes it. The
 * cache holds the row, also of a revoked key; the secret is compared at every call.
 */
export function keyCache(deps: Deps): Cache<FoundKey> {
  const keys = new Cache<FoundKey>({ clock: deps.clock, forMs: KEY_CACHE_MS, most: CACHED_MAX });
  deps.wakes.subscribe("key", ANY_KEY, (keyId) => keys.forget(keyId));
  return keys;
}

interface ReadSession {
  readonly row: SessionRow;
  readonly atMs: number;
}

/** A cached session as of now. Null if it has expired. */
function later({ row, atMs }: ReadSession, nowMs: number): SessionRow | null {
  const sinceMs = Math.max(0, nowMs - atMs);
  const lastsMs = row.lastsMs - sinceMs;
  return lastsMs > 0 ? { ...row, lastsMs, ageMs: row.ageMs + sinceMs } : null;
}

/**
 * Makes the function that reads browsers' sessions by their tokens. Like keys, each session is read again after five
 * seconds, or at once when it ends or its key is revoked.
 * @returns null if there is no such session; this is not cached.
 */
export function sessionReader(deps: Deps): (token: string, turn: Turn) => Promise<SessionRow | null> {
  const { clock, wakes } = deps;
  const known = new Cache<ReadSession>({ clock, forMs: KEY_CACHE_MS, most: CACHED_MAX });
  const forget = (is: (row: SessionRow) => boolean) => known.forgetWhere(({ row }) => is(row));
  wakes.subscribe("key", ANY_KEY, (id) => forget((row) => id === ANY_KEY || row.keyId === id));
  wakes.subscribe("session", ANY_KEY, (id) => forget((row) => id === ANY_KEY || row.sessionId === id));
  return async (token, turn) => {
    const tokenHash = hashSecret(token);
    const id = Buffer.from(tokenHash).toString("hex");
    const found = known.get(id);
    if (found !== undefined) return later(found, clock.nowMs());
    const find = async () => {
      const atMs = clock.nowMs();
      const row = await findSession(deps.database.db, { tokenHash, clock });
      return row === null ? null : { row, atMs };
    };
    const reading = () => known.read(id, find);
    const read = await (known.last(id) === undefined ? turn(reading) : reading());
    return read === null ? null : later(read, clock.nowMs());
  };
}
