import { Problem, type SignInLink } from "@towpath/contract";
import type { Context, Hono } from "hono";
import { setCookie } from "hono/cookie";
import { type Deps, type Duty, inTransaction, type Scope } from "../kernel/index.ts";
import { SESSION_COOKIE } from "./identify.ts";
import { hashSecret, newSecret } from "./secrets.ts";
import { deleteOver, insertLink, insertSession, useLink } from "./store.ts";

const LINK_SECONDS = 10 * 60;
const SESSION_SECONDS = 12 * 3600;
/** The most rows of each sort that one round forgets. */
const FORGET_MAX = 1_000;

/**
 * Makes a link that signs one browser in, once, within ten minutes, with the rights of the caller's key.
 * @param a.baseUrl where the caller reached us, without a trailing slash.
 */
export async function createSignInLink(
  deps: Pick<Deps, "database" | "clock">,
  a: { scope: Scope; baseUrl: string },
): Promise<SignInLink> {
  const token = newSecret();
  const expiresAt = await insertLink(deps.database.db, {
    ...{ tokenHash: hashSecret(token), workspaceId: a.scope.workspaceId, keyId: a.scope.actor.id },
    ...{ seconds: LINK_SECONDS, clock: deps.clock },
  });
  if (expiresAt === null) throw new Problem("internal", "The link was not stored.");
  return { url: `${a.baseUrl}/sign-in?token=${token}`, expiresAt: expiresAt.toISOString() };
}

/** Uses a link up and opens a browser's session. @returns the session's token, or null when the link is not good. */
export function redeemSignIn(
  deps: Pick<Deps, "database" | "clock" | "wakes">,
  a: { token: string },
): Promise<string | null> {
  return inTransaction(deps, async (tx) => {
    const link = await useLink(tx, { tokenHash: hashSecret(a.token), clock: deps.clock });
    if (link === null) return null;
    const token = newSecret();
    await insertSession(tx, {
      ...{ tokenHash: hashSecret(token), seconds: SESSION_SECONDS, clock: deps.clock },
      ...link,
    });
    return token;
  });
}

/** A path of ours to go on to. Anything that leads elsewhere is the start page. */
export function safePath(to: string | undefined): string {
  const here = "http://towpath.invalid";
  if (to === undefined || !to.startsWith("/") || !URL.canParse(to, here)) return "/";
  const url = new URL(to, here);
  return url.origin === here && !url.pathname.startsWith("//") ? `${url.pathname}${url.search}` : "/";
}

const LINK_IS_OVER = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Towpath</title></head>
<body><h1>This link does not sign you in</h1>
<p>A link works once, within ten minutes. <code>towpath open</code> prints another, or <a href="/">sign in with a key</a>.</p></body></html>`;

async function signIn(deps: Deps, c: Context): Promise<Response> {
  c.header("cache-control", "no-store");
  // A probe of the address must not use the link up.
  if (c.req.method === "HEAD") return c.body(null, 200);
  const session = await redeemSignIn(deps, { token: c.req.query("token") ?? "" });
  if (session === null) return c.html(LINK_IS_OVER, 403);
  const secure = new URL(deps.config.publicUrl ?? c.req.url).protocol === "https:";
  setCookie(c, SESSION_COOKIE, session, {
    ...{ httpOnly: true, sameSite: "Lax", path: "/", maxAge: SESSION_SECONDS, secure },
  });
  return c.redirect(safePath(c.req.query("to")), 303);
}

/** Adds `GET /sign-in?token=…&to=/runs/…`. */
export function signInPage(deps: Deps) {
  return (app: Hono): void => {
    app.get("/sign-in", (c) => signIn(deps, c));
  };
}

/** Forgets links and browsers' sessions that are over. */
export const forgetSignInsDuty: Duty = {
  name: "forget-sign-ins",
  everyMs: 10 * 60_000,
  async runOnce({ database, clock }) {
    const count = await deleteOver(database.db, { limit: FORGET_MAX, clock });
    return { worked: count >= FORGET_MAX };
  },
};
