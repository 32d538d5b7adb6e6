import { type Permission, Problem } from "@towpath/contract";
import type { Context } from "hono";
import type { Scope, WorkerScope } from "../scope.ts";

/** Who a request comes from, before anything is asked about what they may do. */
export type Caller =
  | { readonly kind: "person"; readonly scope: Scope }
  | { readonly kind: "worker-key"; readonly scope: Scope; readonly keyPool: string | null }
  | { readonly kind: "worker"; readonly scope: WorkerScope };

/**
 * Finds out who is calling. The slice that owns keys provides it.
 * @throws Problem `unauthenticated` or `session-expired` when nobody is.
 */
export type Identify = (c: Context) => Promise<Caller>;

/** What a handler gets as its scope. */
export type GrantedScope = Scope | WorkerScope | (Scope & { readonly keyPool: string | null }) | null;

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
 * @throws Problem `unauthenticated`, `session-expired` or `forbidden`.
 */
export async function admit(
  identify: Identify,
  a: { c: Context; permission: Permission },
): Promise<GrantedScope> {
  const { c, permission } = a;
  if (permission === "public") return null;
  const caller = await identify(c);
  if (permission === "worker") {
    if (caller.kind === "worker") return caller.scope;
  } else if (permission === "worker-key") {
    if (caller.kind === "worker-key") return { ...caller.scope, keyPool: caller.keyPool };
  } else if (caller.kind === "person" && caller.scope.permissions.includes(permission)) {
    return caller.scope;
  }
  throw refused(caller, permission);
}
