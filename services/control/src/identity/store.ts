import type { Role } from "@towpath/contract";
import { and, desc, eq, getTableColumns, gt, isNotNull, isNull, lt, or, sql } from "#sql";
import { type Clock, now, type Queryable, type Tx } from "../kernel/index.ts";
import { accessKey, browserSession, organization, signInLink, workspace } from "./table.ts";

/** A row of access_key. */
export type KeyRow = typeof accessKey.$inferSelect;

/** The longest time for which `last_used_at` may be out of date, seconds. A busy key is not written at every call. */
const LAST_USED_SECONDS = 60;

/** Inserts a key. */
export async function insertKey(
  to: Queryable,
  row: Pick<KeyRow, "id" | "workspaceId" | "kind" | "name" | "role" | "poolName" | "secretHash">,
): Promise<KeyRow | null> {
  const [inserted] = await to.insert(accessKey).values(row).returning();
  return inserted ?? null;
}

/** A key, and whether its workspace takes no plain values. */
export interface FoundKey extends KeyRow {
  readonly sealed: boolean;
}

/** Whether the workspace of a row takes no plain values. */
const IS_SEALED = sql<boolean>`${workspace.sealedAt} is not null`;

/** Finds a key by its id, in any workspace: the key determines the workspace. */
export async function findKey(from: Queryable, keyId: string): Promise<FoundKey | null> {
  const [row] = await from
    .select({ ...getTableColumns(accessKey), sealed: IS_SEALED })
    .from(accessKey)
    .innerJoin(workspace, eq(workspace.id, accessKey.workspaceId))
    .where(eq(accessKey.id, keyId))
    .prepare("find_key")
    .execute();
  return row ?? null;
}

/** Keys of a workspace, newest first, one more than a page. */
export function selectKeys(
  from: Queryable,
  args: { workspaceId: string; before: string | null; limit: number },
): Promise<KeyRow[]> {
  return from
    .select()
    .from(accessKey)
    .where(
      and(
        eq(accessKey.workspaceId, args.workspaceId),
        args.before === null ? undefined : lt(accessKey.id, args.before),
      ),
    )
    .orderBy(desc(accessKey.id))
    .limit(args.limit + 1);
}

/** Revokes a key. @returns false if it was revoked before, null if there is no such key. */
export async function revokeKeyRow(
  to: Queryable,
  args: { workspaceId: string; keyId: string; clock: Clock },
): Promise<boolean | null> {
  const isThis = and(eq(accessKey.workspaceId, args.workspaceId), eq(accessKey.id, args.keyId));
  const revoked = await to
    .update(accessKey)
    .set({ revokedAt: sql`${now(args.clock)}` })
    .where(and(isThis, isNull(accessKey.revokedAt)))
    .returning({ id: accessKey.id });
  if (revoked.length > 0) return true;
  const found = await to.select({ id: accessKey.id }).from(accessKey).where(isThis);
  return found.length > 0 ? false : null;
}

/** Records that a key was used, at most once a minute. */
export async function touchKey(to: Queryable, args: { keyId: string; clock: Clock }): Promise<void> {
  await to
    .update(accessKey)
    .set({ lastUsedAt: sql`${now(args.clock)}` })
    .where(
      and(
        eq(accessKey.id, args.keyId),
        or(
          isNull(accessKey.lastUsedAt),
          lt(accessKey.lastUsedAt, sql`${now(args.clock)} - make_interval(secs => ${LAST_USED_SECONDS})`),
        ),
      ),
    );
}

/** The names of a workspace and its organization, and the database's time. */
export async function describeWorkspace(from: Queryable, args: { workspaceId: string; clock: Clock }) {
  const [row] = await from
    .select({
      organization: { id: organization.id, name: organization.name },
      workspace: { id: workspace.id, name: workspace.name, sealed: IS_SEALED },
      at: sql<string>`${now(args.clock)}::text`,
    })
    .from(workspace)
    .innerJoin(organization, eq(organization.id, workspace.organizationId))
    .where(eq(workspace.id, args.workspaceId));
  return row ?? null;
}

/**
 * Sets whether a workspace takes plain values. The first time is kept.
 * @returns whether that was a change.
 */
export async function updateSealed(
  tx: Tx,
  args: { workspaceId: string; sealed: boolean; clock: Clock },
): Promise<boolean> {
  const changed = await tx
    .update(workspace)
    .set({ sealedAt: args.sealed ? sql`${now(args.clock)}` : null })
    .where(
      and(
        eq(workspace.id, args.workspaceId),
        args.sealed ? isNull(workspace.sealedAt) : isNotNull(workspace.sealedAt),
      ),
    )
    .returning({ id: workspace.id });
  return changed.length > 0;
}

/** The workspace of this name in the organization of this name. */
export async function findWorkspace(
  from: Queryable,
  args: { organization: string; workspace: string },
): Promise<string | null> {
  const [row] = await from
    .select({ id: workspace.id })
    .from(workspace)
    .innerJoin(organization, eq(organization.id, workspace.organizationId))
    .where(and(eq(organization.name, args.organization), eq(workspace.name, args.workspace)))
    .limit(1);
  return row?.id ?? null;
}

/** Whether there is any organization. */
export async function hasOrganization(from: Queryable): Promise<boolean> {
  const rows = await from.select({ id: organization.id }).from(organization).limit(1);
  return rows.length > 0;
}

/** Inserts a workspace with an organization of its own. */
export async function insertWorkspace(
  tx: Tx,
  args: { organizationId: string; organization: string; workspaceId: string; workspace: string },
): Promise<void> {
  await tx.insert(organization).values({ id: args.organizationId, name: args.organization });
  await tx
    .insert(workspace)
    .values({ id: args.workspaceId, organizationId: args.organizationId, name: args.workspace });
}

/** Inserts a sign-in link that lasts `seconds`. @returns when it expires. */
export async function insertLink(
  to: Queryable,
  args: { tokenHash: Uint8Array; workspaceId: string; keyId: string; seconds: number; clock: Clock },
): Promise<Date | null> {
  const [row] = await to
    .insert(signInLink)
    .values({
      tokenHash: args.tokenHash,
      workspaceId: args.workspaceId,
      keyId: args.keyId,
      expiresAt: sql`${now(args.clock)} + make_interval(secs => ${args.seconds})`,
    })
    .returning({ expiresAt: signInLink.expiresAt });
  return row?.expiresAt ?? null;
}

/** Uses a link up. Of any number of concurrent callers, one succeeds. */
export async function useLink(
  tx: Tx,
  args: { tokenHash: Uint8Array; clock: Clock },
): Promise<{ workspaceId: string; keyId: string } | null> {
  const [row] = await tx
    .update(signInLink)
    .set({ usedAt: sql`${now(args.clock)}` })
    .from(accessKey)
    .where(
      and(
        eq(signInLink.tokenHash, args.tokenHash),
        isNull(signInLink.usedAt),
        gt(signInLink.expiresAt, sql`${now(args.clock)}`),
        eq(accessKey.id, signInLink.keyId),
        isNull(accessKey.revokedAt),
      ),
    )
    .returning({ workspaceId: signInLink.workspaceId, keyId: signInLink.keyId });
  return row ?? null;
}

/** Inserts a browser session that lasts `seconds`. */
export async function insertSession(
  to: Queryable,
  args: { tokenHash: Uint8Array; workspaceId: string; keyId: string; seconds: number; clock: Clock },
): Promise<void> {
  await to.insert(browserSession).values({
    tokenHash: args.tokenHash,
    workspaceId: args.workspaceId,
    keyId: args.keyId,
    createdAt: sql`${now(args.clock)}`,
    expiresAt: sql`${now(args.clock)} + make_interval(secs => ${args.seconds})`,
  });
}

/** The id of a session: half of the hash of its secret. It authenticates nobody. */
const SESSION_ID = sql<string>`encode(substring(${browserSession.tokenHash} from 1 for 16), 'hex')`;

/** A session that has not expired, and its key. */
export interface SessionRow {
  readonly sessionId: string;
  readonly ageMs: number;
  readonly lastsMs: number;
  readonly keyId: string;
  readonly workspaceId: string;
  readonly name: string;
  readonly role: Role | null;
  readonly sealed: boolean;
}

/** The open sessions of a workspace, or of one key in it, newest first. */
export function selectSessions(
  from: Queryable,
  args: { workspaceId: string; keyId: string | null; limit: number; clock: Clock },
) {
  return from
    .select({
      id: SESSION_ID,
      keyId: accessKey.id,
      keyName: accessKey.name,
      createdAt: browserSession.createdAt,
      expiresAt: browserSession.expiresAt,
    })
    .from(browserSession)
    .innerJoin(accessKey, eq(accessKey.id, browserSession.keyId))
    .where(
      and(
        eq(browserSession.workspaceId, args.workspaceId),
        args.keyId === null ? undefined : eq(browserSession.keyId, args.keyId),
        gt(browserSession.expiresAt, sql`${now(args.clock)}`),
        isNull(accessKey.revokedAt),
      ),
    )
    .orderBy(desc(browserSession.createdAt))
    .limit(args.limit);
}

/** Deletes a session of a workspace, or of one key in it. @returns whether there was one. */
export async function deleteSession(
  to: Queryable,
  args: { workspaceId: string; keyId: string | null; sessionId: string },
): Promise<boolean> {
  const gone = await to
    .delete(browserSession)
    .where(
      and(
        eq(browserSession.workspaceId, args.workspaceId),
        args.keyId === null ? undefined : eq(browserSession.keyId, args.keyId),
        eq(SESSION_ID, args.sessionId),
      ),
    )
    .returning({ keyId: browserSession.keyId });
  return gone.length > 0;
}

/** The workspace and key of a sign-in link, without using it up. Null if the link is not valid. */
export async function describeLink(
  from: Queryable,
  args: { tokenHash: Uint8Array; clock: Clock },
): Promise<{ workspace: string; key: string; role: Role | null } | null> {
  const [row] = await from
    .select({ workspace: workspace.name, key: accessKey.name, role: accessKey.role })
    .from(signInLink)
    .innerJoin(accessKey, eq(accessKey.id, signInLink.keyId))
    .innerJoin(workspace, eq(workspace.id, signInLink.workspaceId))
    .where(
      and(
        eq(signInLink.tokenHash, args.tokenHash),
        isNull(signInLink.usedAt),
        gt(signInLink.expiresAt, sql`${now(args.clock)}`),
        isNull(accessKey.revokedAt),
      ),
    );
  return row ?? null;
}

/** The key of a session and the time the session has left. Null if either has ended. */
export async function findSession(
  from: Queryable,
  args: { tokenHash: Uint8Array; clock: Clock },
): Promise<SessionRow | null> {
  const [row] = await from
    .select({
      sessionId: SESSION_ID,
      ageMs: sql<number>`extract(epoch from ${now(args.clock)} - ${browserSession.createdAt})::float8 * 1000`,
      keyId: accessKey.id,
      workspaceId: browserSession.workspaceId,
      name: accessKey.name,
      role: accessKey.role,
      sealed: IS_SEALED,
      lastsMs: sql<number>`extract(epoch from ${browserSession.expiresAt} - ${now(args.clock)})::float8 * 1000`,
    })
    .from(browserSession)
    .innerJoin(accessKey, eq(accessKey.id, browserSession.keyId))
    .innerJoin(workspace, eq(workspace.id, browserSession.workspaceId))
    .where(
      and(
        eq(browserSession.tokenHash, args.tokenHash),
        gt(browserSession.expiresAt, sql`${now(args.clock)}`),
        isNull(accessKey.revokedAt),
      ),
    );
  return row ?? null;
}

/** Deletes expired sign-in links and sessions, at most `limit` of each. @returns how many. */
export async function deleteExpired(to: Queryable, args: { limit: number; clock: Clock }): Promise<number> {
  const [row] = await to.execute<{ count: number }>(sql`
    with links as (
      delete from sign_in_link where token_hash = any(array(
        select token_hash from sign_in_link where expires_at < ${now(args.clock)} limit ${args.limit})) returning 1
    ), sessions as (
      delete from browser_session where token_hash = any(array(
        select token_hash from browser_session where expires_at < ${now(args.clock)} limit ${args.limit})) returning 1
    )
    select ((select count(*) from links) + (select count(*) from sessions))::int as count`);
  return row?.count ?? 0;
}
