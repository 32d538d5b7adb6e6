import { type Permission, Problem } from "@towpath/contract";
import type { Context } from "hono";
import type { Scope, WorkerScope } from "../scope.ts";
import { headerOf } from "./node-request.ts";

/** The identity of a caller, before its permissions are checked. */
export type Caller =
  | {
      readonly kind: "person";
      readonly scope: Scope;
      /** How long a browser's session still lasts, milliseconds. @default without end */
      readonly lastsMs?: number;
    }
  | { readonly kind: "worker-key"; readonly scope: Scope; readonly keyPool: string | null }
  | {
      readonly kind: "worker";
      readonly scope: WorkerScope;
      /** The key with which its session was opened. */
      readonly keyId: string;
    };

/** Waits for its turn at the database, then reads. */
export type Turn = <T>(read: () => Promise<T>) => Promise<T>;

/** Reads at once. */
export const atOnce: Turn = (read) => read();

/**
 * Identifies the caller. The slice that owns keys provides it. Queries about a credential that was never valid go
 * through `turn`.
 * @throws Problem `unauthenticated` or `session-expired`.
 */
export type Identify = (c: Context, turn: Turn) => Promise<Caller>;

/** A token that was not signed here. Like an unknown key it counts as a failure of its address. */
export class ForeignToken extends Problem {}

/** The cookie of a signed-in browser. Over TLS it has the prefix that binds it to this host. */
export const SESSION_COOKIES = { overTls: "__Host-towpath_session", plain: "towpath_session" } as const;

/**
 * Whether a request has credentials, valid or not. It searches only for the cookie's name, because parsers accept
 * blanks before the equals sign.
 */
export function hasCredentials(c: Context): boolean {
  if (headerOf(c, "authorization") !== undefined) return true;
  return headerOf(c, "cookie")?.includes(SESSION_COOKIES.plain) ?? false;
}

/** The scope of a handler. */
export type GrantedScope = Scope | WorkerScope | (Scope & { readonly keyPool: string | null }) | null;

/** An admitted caller. */
export interface Admitted {
  readonly scope: GrantedScope;
  /** The longest time of the admission, milliseconds. Null: until it is withdrawn. */
  readonly lastsMs: number | null;
  /** The key of the caller. Null for anonymous callers, and for worker keys, which only open sessions. */
  readonly keyId: string | null;
  /** The browser session of the caller. */
  readonly sessionId: string | null;
}

/** The caller of a public route. */
export const ANONYMOUS: Admitted = { scope: null, lastsMs: null, keyId: null, sessionId: null };

const NEEDS: Record<Caller["kind"], string> = {
  person: "Only workers may call this; an API key may not.",
  "worker-key": "A worker key may only open a worker's session.",
  worker: "A worker's session may only make calls of the worker protocol.",
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
 * Checks the permission of a caller for a route. Everything else is denied.
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
