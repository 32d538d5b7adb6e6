import {
  type CreatedKey,
  type CreateKey,
  FRESH_SIGN_IN_MS,
  type Key,
  type Me,
  Problem,
  uuidv7,
} from "@towpath/contract";
import { z } from "zod";
import { isNull } from "#sql";
import {
  type Deps,
  dateOf,
  inTransaction,
  keepQuota,
  pageOf,
  readCursor,
  type Scope,
  VERSION,
  writeChanges,
} from "../kernel/index.ts";
import { formatKey, hashSecret, newSecret } from "./secrets.ts";
import { describeWorkspace, insertKey, type KeyRow, revokeKeyRow, selectKeys } from "./store.ts";
import { accessKey } from "./table.ts";

function shown(row: KeyRow): Key {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    role: row.role,
    pool: row.poolName,
    createdAt: row.createdAt.toISOString(),
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
  };
}

/** The role of a new key whose request names none. */
const DEFAULT_ROLE = "developer";

/**
 * Creates a key. Only this answer ever holds its secret. A worker key may name a pool that does not exist yet: the name
 * is compared when the worker connects.
 * @throws Problem `quota-exceeded`; `sign-in-needed` if the browser signed in too long ago.
 */
export async function createKey(
  deps: Pick<Deps, "database" | "clock" | "wakes" | "config">,
  args: { scope: Scope; input: CreateKey },
): Promise<CreatedKey> {
  const { input } = args;
  const { session } = args.scope.actor;
  if (session !== undefined && session.ageMs > FRESH_SIGN_IN_MS)
    throw new Problem(
      "sign-in-needed",
      `You can create a key only within ${FRESH_SIGN_IN_MS / 60_000} minutes of signing in. Sign out and sign in again, or run \`towpath key create NAME\`.`,
    );
  const secret = newSecret();
  const id = uuidv7(deps.clock.nowMs());
  const { workspaceId } = args.scope;
  const row = await inTransaction(deps, async (tx) => {
    await writeChanges(tx, [{ workspaceId, kind: "key", entityId: id }]);
    const inserted = await insertKey(tx, {
      id,
      workspaceId,
      kind: input.kind,
      name: input.name,
      role: input.kind === "api" ? (input.role ?? DEFAULT_ROLE) : null,
      poolName: input.kind === "worker" ? (input.pool ?? null) : null,
      secretHash: hashSecret(secret),
    });
    const where = isNull(accessKey.revokedAt);
    await keepQuota(tx, deps, { quota: "keys", workspaceId, table: accessKey, where });
    return inserted;
  });
  if (row === null) throw new Problem("internal", "The key was not stored.");
  return { key: shown(row), secret: formatKey({ kind: input.kind, id, secret }) };
}

/** Keys of the workspace, newest first. */
export async function listKeys(
  deps: Pick<Deps, "database">,
  args: { scope: Scope; limit: number; cursor?: string | undefined },
): Promise<{ items: Key[]; next: string | null }> {
  const before = readCursor(args.cursor, z.tuple([z.uuid()]))?.[0] ?? null;
  const rows = await selectKeys(deps.database.reads, {
    workspaceId: args.scope.workspaceId,
    before,
    limit: args.limit,
  });
  return pageOf(rows, { limit: args.limit, item: shown, key: (row) => [row.id] });
}

/**
 * Revokes a key. Every process drops it from its cache at once and signs its browsers out. If the wake-up is lost,
 * calls with the key fail after five seconds (KEY_CACHE_MS), and workers' sessions after half a minute. Idempotent.
 * @throws Problem `key-not-found`.
 */
export async function revokeKey(
  deps: Pick<Deps, "database" | "clock" | "wakes">,
  args: { scope: Scope; keyId: string },
): Promise<void> {
  const { workspaceId } = args.scope;
  const revoked = await inTransaction(deps, async (tx) => {
    const first = await revokeKeyRow(tx, { workspaceId, keyId: args.keyId, clock: deps.clock });
    if (first === true) await writeChanges(tx, [{ workspaceId, kind: "key", entityId: args.keyId }]);
    return first;
  });
  if (revoked === null)
    throw new Problem("key-not-found", `There is no key ${args.keyId} in this workspace.`);
  // Also for a key that is revoked already: the first wake-up may have been lost.
  deps.wakes.publish("key", [args.keyId]);
}

/** Describes the caller, the workspace and this server. */
export async function describeCaller(
  deps: Pick<Deps, "database" | "clock">,
  args: { scope: Scope },
): Promise<Me> {
  const { scope } = args;
  const found = await describeWorkspace(deps.database.reads, {
    workspaceId: scope.workspaceId,
    clock: deps.clock,
  });
  if (found === null || scope.role === null)
    throw new Problem("unauthenticated", "The key's workspace no longer exists.");
  return {
    organization: found.organization,
    workspace: found.workspace,
    key: { id: scope.actor.id, name: scope.actor.name, role: scope.role },
    server: { version: VERSION, now: dateOf(Date.parse(found.at)).toISOString() },
  };
}
