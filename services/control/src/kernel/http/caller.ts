import { type Permission, Problem } from "@towpath/contract";
import type { Context } from "hono";
import type { Scope, WorkerScope } from "../scope.ts";
import { headerOf } from "./beneath.ts";

/** Who a request comes from, before anything is asked about what they may do. */
export type Caller =
  | {
      readonly kind: "person";
      readonly scope: Scope;
      /** How long a browser's session still lasts, milliseconds. @default for good */
      readonly lastsMs?: number;
    }
  | { readonly kind: "worker-key"; readonly scope: Scope; readonly keyPool: string | null }
  | {
      readonly kind: "worker";
      readonly scope: WorkerScope;
      /** The key that its session was opened with. */
      readonly keyId: string;
    };

/** Waits for its turn at the database, then reads. */
export type Turn = <T>(read: () => Promise<T>) => Promise<T>;

/** Reads at once. */
export const atOnce: Turn = (read) => read();

/**
 * Finds out who is calling. The slice that owns keys provides it. What it must ask the database about a caller who has shown
 * nothing that was ever valid, it asks in a turn.
 * @throws Problem `unauthenticated` or `session-expired` when nobody is.
 */
export type Identify = (c: Context, turn: Turn) => Promise<Caller>;

/** Why a token is refused that was not signed here. It counts against its address, as an unknown key does. */
export class ForeignToken extends Problem {}

/** The cookie of a signed-in browser: over TLS with the prefix that ties it to this very host, else without. */
export const SESSION_COOKIES = { overTls: "__Host-towpath_session", plain: "towpath_session" } as const;

/**
 * Whether a request says who sends it, rightly or wrongly. Looks for the cookie's name alone: parsers of cookies
 * accept blanks before the equals sign.
 */
export function hasCredentials(c: Context): boolean {
  if (headerOf(c, "authorization") !== undefined) return true;
  return headerOf(c, "cookie")?.includes(SESSION_COOKIES.plain) ?? false;
}

/** What a handler gets as its scope. */
export type GrantedScope = Scope | WorkerScope | (Scope & { readonly keyPool: string | null }) | null;

/** What a caller was granted. */
export interface Admitted {
  readonly scope: GrantedScope;
  /** How long that lasts at most, milliseconds; null: until it is taken back. */
  readonly lastsMs: number | null;
  /** The key that is behind it; null for nobody's, and for worker keys, which only open sessions. */
  readonly keyId: string | null;
  /** The browser's session that is behind it. */
  readonly sessionId: string | null;
}

/** What a caller of a public route was granted. */
export const NOBODY: Admitted = { scope: null, lastsMs: null, keyId: null, sessionId: null };

const NEEDS: Record<Caller["kind"], string> = {
  person: "This is for workers; an API key cannot call it.",
  "worker-key": "A worker key can only open a worker's session.",
  worker: "A worker's session can only make the calls of the worker protocol.",
};

function refused(caller: Caller, permission: Permission): Problem {
  if (caller.kind !== "person" || permission === "worker" || permission === "worker-key")
    return new Problem("forbidden", NEEDS[caller.kind]);
  const role = caller.scope.role ?? "none";
  return new Problem(
    "forbidden",
    `This needs the permission "${permission}", which the role "${role}" lacks.`,
  );
}

/**
 * Grants or refuses a route to its caller. What is not granted here is denied.
 * @throws Problem `forbidden`.
 */
export function grant(caller: Caller, permission: Permission): Admitted {
  const lasting = { lastsMs: null, keyId: null, sessionId: null };
  if (permission === "worker") {
    if (caller.kind === "worker") return { ...lasting, scope: caller.scope, keyId: caller.keyId };
  } else if (permission === "worker-key") {
    if (caller.kind === "worker-key")
      return { ...lasting, scope: { ...caller.scope, keyPool: caller.keyPool } };
  } else if (caller.kind === "person" && caller.scope.permissions.includes(permission)) {
    const { scope, lastsMs = null } = caller;
    return { scope, lastsMs, keyId: scope.actor.id, sessionId: scope.actor.session?.id ?? null };
  }
  throw refused(caller, permission);
}
