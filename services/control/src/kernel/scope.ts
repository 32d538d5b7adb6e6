import { type Permission, ROLES, type Role } from "@towpath/contract";

/** The caller. */
export interface Actor {
  readonly kind: "key" | "session" | "system";
  readonly id: string;
  readonly name: string;
  /** The browser session that acts as the key. */
  readonly session?: { readonly id: string; readonly ageMs: number };
}

/** The caller and its workspace. Every verb of a slice takes one, and every `where` holds that workspace. */
export interface Scope {
  readonly workspaceId: string;
  readonly actor: Actor;
  readonly role: Role | null;
  readonly permissions: readonly Permission[];
  /** Whether the workspace takes no plain values in marked fields. @default false */
  readonly sealed?: boolean;
}

/** The scope of a worker's call: one worker and one pool. */
export interface WorkerScope {
  readonly workspaceId: string;
  readonly workerId: string;
  readonly poolId: string;
  /** Counts the starts of the worker. */
  readonly generation: number;
  /** The version of the protocol that its session speaks. @default 1 */
  readonly protocol?: number | undefined;
  /** Whether the workspace takes no plain values in marked fields. @default false */
  readonly sealed?: boolean;
}

/** The scope of the control plane's own actions in a workspace. Everything is allowed. */
export function systemScope(workspaceId: string, name = "control plane"): Scope {
  return {
    workspaceId,
    actor: { kind: "system", id: workspaceId, name },
    role: "admin",
    permissions: ROLES.admin,
  };
}
