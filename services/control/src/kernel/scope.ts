import { type Permission, ROLES, type Role } from "@towpath/contract";

/** Who acts. */
export interface Actor {
  readonly kind: "key" | "session" | "system";
  readonly id: string;
  readonly name: string;
  /** The browser's session that acts as the key. */
  readonly session?: { readonly id: string; readonly ageMs: number };
}

/** Who is calling and within which workspace. Every verb of a slice takes one, and every `where` holds that workspace. */
export interface Scope {
  readonly workspaceId: string;
  readonly actor: Actor;
  readonly role: Role | null;
  readonly permissions: readonly Permission[];
}

/** A worker's call: the scope narrowed to one worker and one pool. */
export interface WorkerScope {
  readonly workspaceId: string;
  readonly workerId: string;
  readonly poolId: string;
  /** Which start of the worker is calling: later ones are higher. */
  readonly generation: number;
}

/** The scope of what the control plane does by itself inside a workspace: everything is allowed. */
export function systemScope(workspaceId: string, name = "control plane"): Scope {
  return {
    workspaceId,
    actor: { kind: "system", id: workspaceId, name },
    role: "admin",
    permissions: ROLES.admin,
  };
}
