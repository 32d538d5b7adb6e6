import { type BrowserSession, LIMITS, Problem, type SignInLink } from "@towpath/contract";
import { type Deps, inTransaction, type PeriodicJob, type Scope } from "../kernel/index.ts";
import { hashSecret, newSecret } from "./secrets.ts";
import {
  deleteExpired,
  deleteSession,
  describeLink,
  insertLink,
  insertSession,
  selectSessions,
  useLink,
} from "./store.ts";

const LINK_SECONDS = 10 * 60;
/** How long a browser stays signed in, seconds. */
export const SESSION_SECONDS: number = 12 * 3600;
/** The most rows of each table that one round deletes. */
const FORGET_MAX = 1_000;

/**
 * Creates a link that signs one browser in with the rights of the caller's key. It works once, within ten minutes.
 * @param args.baseUrl the address under which the caller reached this server, without a trailing slash.
 */
export async function createSignInLink(
  deps: Pick<Deps, "database" | "clock">,
  args: { scope: Scope; baseUrl: string },
): Promise<SignInLink> {
  const token = newSecret();
  const expiresAt = await insertLink(deps.database.db, {
    tokenHash: hashSecret(token),
    workspaceId: args.scope.workspaceId,
    keyId: args.scope.actor.id,
    seconds: LINK_SECONDS,
    clock: deps.clock,
  });
  if (expiresAt === null) throw new Problem("internal", "The link was not stored.");
  return { url: `${args.baseUrl}/sign-in?token=${token}`, expiresAt: expiresAt.toISOString() };
}

/** The workspace and key of a sign-in link; null if the link is not valid. Does not use it up. */
export function readLink(deps: Pick<Deps, "database" | "clock">, args: { token: string }) {
  return describeLink(deps.database.db, { tokenHash: hashSecret(args.token), clock: deps.clock });
}

/** Uses a link up and opens a browser session. @returns the session's token, or null if the link is not valid. */
export function redeemSignIn(
  deps: Pick<Deps, "database" | "clock" | "wakes">,
  args: { token: string },
): Promise<string | null> {
  return inTransaction(deps, async (tx) => {
    const link = await useLink(tx, { tokenHash: hashSecret(args.token), clock: deps.clock });
    if (link === null) return null;
    const token = newSecret();
    await insertSession(tx, {
      tokenHash: hashSecret(token),
      seconds: SESSION_SECONDS,
      clock: deps.clock,
      ...link,
    });
    return token;
  });
}

/** Deletes expired sign-in links and browser sessions. */
export const forgetSignInsPeriodicJob: PeriodicJob = {
  name: "forget-sign-ins",
  everyMs: 10 * 60_000,
  async runOnce({ database, clock }) {
    const count = await deleteExpired(database.db, { limit: FORGET_MAX, clock });
    return { worked: count >= FORGET_MAX };
  },
};

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
