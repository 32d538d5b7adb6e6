import { Problem, type SignInLink } from "@towpath/contract";
import { type Deps, inTransaction, type PeriodicJob, type Scope } from "../kernel/index.ts";
import { hashSecret, newSecret } from "./secrets.ts";
import { deleteOver, describeLink, insertLink, insertSession, useLink } from "./store.ts";

const LINK_SECONDS = 10 * 60;
/** How long a browser stays signed in, seconds. */
export const SESSION_SECONDS: number = 12 * 3600;
/** The most rows of each sort that one round forgets. */
const FORGET_MAX = 1_000;

/**
 * Makes a link that signs one browser in, once, within ten minutes, with the rights of the caller's key.
 * @param args.baseUrl where the caller reached us, without a trailing slash.
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

/** Whom a link would sign in; null if it is not good. Looking does not use it up. */
export function lookAtLink(deps: Pick<Deps, "database" | "clock">, args: { token: string }) {
  return describeLink(deps.database.db, { tokenHash: hashSecret(args.token), clock: deps.clock });
}

/** Uses a link up and opens a browser's session. @returns the session's token, or null when the link is not good. */
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

/** Forgets links and browsers' sessions that are over. */
export const forgetSignInsPeriodicJob: PeriodicJob = {
  name: "forget-sign-ins",
  everyMs: 10 * 60_000,
  async runOnce({ database, clock }) {
    const count = await deleteOver(database.db, { limit: FORGET_MAX, clock });
    return { worked: count >= FORGET_MAX };
  },
};
