import { Problem, ROLES } from "@towpath/contract";
import type { Context } from "hono";
import { getCookie } from "hono/cookie";
import {
  type Cache,
  type Caller,
  type Deps,
  headerOf,
  type Identify,
  type Origins,
  readOrigins,
  type Scope,
  SESSION_COOKIES,
  type Turn,
} from "../kernel/index.ts";
import { keyCache, sessionReader } from "./credential-cache.ts";
import { isSecret, parseKey } from "./secrets.ts";
import { type FoundKey, findKey, type KeyRow, type SessionRow, touchKey } from "./store.ts";
import { workerTokenCheck } from "./worker-token.ts";

/** The longest time for which `last_used_at` may be out of date, milliseconds. */
const LAST_USED_MS = 60_000;

const nobody = (detail: string) => new Problem("unauthenticated", detail);

/** Rows whose use is already recorded. Many calls share one cached row, and only the first call writes. */
const noted = new WeakSet<KeyRow>();

async function noteUse(deps: Deps, key: KeyRow): Promise<void> {
  if (noted.has(key)) return;
  noted.add(key);
  if (key.lastUsedAt !== null && deps.clock.nowMs() - key.lastUsedAt.getTime() < LAST_USED_MS) return;
  await touchKey(deps.database.db, { keyId: key.id, clock: deps.clock });
}

function scopeOf(args: {
  kind: "key" | "session";
  key: Pick<FoundKey, "id" | "name" | "role" | "workspaceId" | "sealed">;
  session?: { id: string; ageMs: number };
}): Scope {
  const { key } = args;
  return {
    workspaceId: key.workspaceId,
    actor: {
      kind: args.kind,
      id: key.id,
      name: key.name,
      ...(args.session === undefined ? {} : { session: args.session }),
    },
    role: key.role,
    permissions: key.role === null ? [] : ROLES[key.role],
    sealed: key.sealed,
  };
}

interface ByKey {
  readonly text: string;
  readonly keys: Cache<FoundKey>;
  readonly turn: Turn;
}

async function byKey(deps: Deps, { text, keys, turn }: ByKey): Promise<Caller> {
  const parts = parseKey(text);
  const isIts = (key: KeyRow) =>
    parts !== null && key.kind === parts.kind && isSecret(parts.secret, key.secretHash);
  const read = (keyId: string) => {
    const find = () => keys.read(keyId, () => findKey(deps.database.db, keyId));
    const last = keys.last(keyId);
    return last !== undefined && isIts(last) ? find() : turn(find);
  };
  const key = parts === null ? null : (keys.get(parts.id) ?? (await read(parts.id)));
  if (key === null || !isIts(key)) throw nobody("The key is unknown. Create one with `towpath key create`.");
  if (key.revokedAt !== null) throw nobody(`The key "${key.name}" was revoked.`);
  await noteUse(deps, key);
  const scope = scopeOf({ kind: "key", key });
  return key.kind === "api"
    ? { kind: "person", scope }
    : { kind: "worker-key", scope, keyPool: key.poolName };
}

/**
 * Rejects a change that another site makes the browser send: a browser adds its cookie to every request to us. The
 * page's origin must be the public address, or the address of this request.
 * @throws Problem `forbidden`.
 */
export function checkOrigin(deps: Deps, c: Context): void {
  if (c.req.method === "GET" || c.req.method === "HEAD") return;
  const origin = c.req.header("origin") ?? "";
  const host = c.req.header("host") ?? "";
  const own = [`http://${host}`, `https://${host}`];
  if (deps.config.publicUrl !== null) own.push(new URL(deps.config.publicUrl).origin);
  if (!own.includes(origin))
    throw new Problem("forbidden", "Pages of another origin may not act for a signed-in browser.");
}

/** Reads the session cookie. Over TLS only the `__Host-` cookie counts, because a neighbouring host cannot set it. */
export function sessionCookie(
  deps: Deps,
  args: { c: Context; origins: Origins },
): { name: string; secure: boolean } {
  const secure = deps.config.publicUrl?.startsWith("https:") || args.origins.isOverTls(args.c);
  return { name: secure ? SESSION_COOKIES.overTls : SESSION_COOKIES.plain, secure };
}

function bySession(session: SessionRow | null): Caller {
  if (session === null) throw nobody("This browser is signed out. Open a new sign-in link.");
  const { keyId, lastsMs, sessionId, ageMs, ...key } = session;
  const acts = { key: { ...key, id: keyId }, session: { id: sessionId, ageMs } };
  return { kind: "person", scope: scopeOf({ kind: "session", ...acts }), lastsMs };
}

/**
 * Makes the function that identifies a caller by a key or a worker's session token in `authorization`, or by a
 * browser's cookie. If the header is present, the cookie is ignored.
 */
export function identifyWith(deps: Deps): Identify {
  const checkWorkerToken = workerTokenCheck(deps);
  const keys = keyCache(deps);
  const readSession = sessionReader(deps);
  const origins = readOrigins(deps.config);
  return async (c, turn) => {
    const header = headerOf(c, "authorization");
    if (header !== undefined) {
      const [, token] = /^bearer +(\S+)$/i.exec(header) ?? [];
      if (token === undefined) throw nobody("Send the key as `authorization: Bearer KEY`.");
      if (token.startsWith("twp_")) return byKey(deps, { text: token, keys, turn });
      if (token.split(".").length === 3) return { kind: "worker", ...(await checkWorkerToken(token)) };
      throw nobody("The credential is neither a key nor a worker's session token.");
    }
    const cookie = getCookie(c, sessionCookie(deps, { c, origins }).name);
    if (cookie === undefined) throw nobody("Send a key as `authorization: Bearer KEY`.");
    // The origin is checked before any database query.
    checkOrigin(deps, c);
    return bySession(await readSession(cookie, turn));
  };
}
