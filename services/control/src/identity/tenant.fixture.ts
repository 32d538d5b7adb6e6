import type { Role } from "@towpath/contract";
import { type Deps, systemScope } from "../kernel/index.ts";
import { createWorkspace } from "./bootstrap.ts";
import { createKey } from "./keys.ts";

/** A workspace of a test's own, and keys to it. */
export interface Tenant {
  readonly workspaceId: string;
  /** A new API key of a role: its id and its whole text. */
  key(role: Role): Promise<{ id: string; secret: string }>;
  /** A new worker key, for one pool or any. */
  workerKey(pool?: string): Promise<{ id: string; secret: string }>;
}

/** Makes a workspace of a test's own. */
export async function createTenant(deps: Pick<Deps, "database" | "clock" | "wakes">): Promise<Tenant> {
  const workspaceId = await createWorkspace(deps, { organization: "test", workspace: "test" });
  const scope = systemScope(workspaceId);
  return {
    workspaceId,
    async key(role) {
      const made = await createKey(deps, { scope, input: { kind: "api", name: role, role } });
      return { id: made.key.id, secret: made.secret };
    },
    async workerKey(pool) {
      const input = { kind: "worker" as const, name: "worker", pool: pool ?? null };
      const made = await createKey(deps, { scope, input });
      return { id: made.key.id, secret: made.secret };
    },
  };
}

/** The header of a caller with a key or token. */
export function bearer(secret: string): { authorization: string } {
  return { authorization: `Bearer ${secret}` };
}
