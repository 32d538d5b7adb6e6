import { type BrowserSession, LIMITS, Problem } from "@towpath/contract";
import type { Deps, Scope } from "../kernel/index.ts";
import { deleteSession, selectSessions } from "./store.ts";

/** The key whose sessions the caller may see and end. Null, for an admin: all keys. */
function keyOf({ permissions, actor }: Scope): string | null {
  return permissions.includes("admin") ? null : actor.id;
}

/** The signed-in browsers that the caller may see, newest first. */
export async function listSessions(
  deps: Pick<Deps, "database" | "clock">,
  { scope }: { scope: Scope },
): Promise<{ items: BrowserSession[] }> {
  const which = { workspaceId: scope.workspaceId, keyId: keyOf(scope), limit: LIMITS.pageRows };
  const rows = await selectSessions(deps.database.reads, { ...which, clock: deps.clock });
  const items = rows.map(({ id, keyId, keyName, createdAt, expiresAt }) => ({
    id,
    key: { id: keyId, name: keyName },
    current: id === scope.actor.session?.id,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
  }));
  return { items };
}

/**
 * Ends a browser's session. Its streams close at once, in every process.
 * @throws Problem `session-not-found`.
 */
export async function endSession(
  deps: Pick<Deps, "database" | "wakes">,
  { scope, sessionId }: { scope: Scope; sessionId: string },
): Promise<void> {
  const which = { workspaceId: scope.workspaceId, keyId: keyOf(scope), sessionId };
  if (!(await deleteSession(deps.database.db, which)))
    throw new Problem("session-not-found", `There is no browser session ${sessionId} here.`);
  deps.wakes.publish("session", [sessionId]);
}
