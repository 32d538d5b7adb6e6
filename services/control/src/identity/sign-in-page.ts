import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { setCookie } from "hono/cookie";
import { html } from "hono/html";
import { type Deps, readOrigins, SESSION_COOKIES } from "../kernel/index.ts";
import { checkOrigin, sessionCookie } from "./identify.ts";
import { readLink, redeemSignIn, SESSION_SECONDS } from "./sign-in.ts";

/** The largest form that is accepted, bytes. */
const FORM_BYTES_MAX = 8_192;

/** The path to open after the sign-in. Anything that leads to another site becomes the start page. */
export function safePath(to: string | undefined): string {
  const here = "http://towpath.invalid";
  if (to === undefined || !to.startsWith("/") || !URL.canParse(to, here)) return "/";
  const url = new URL(to, here);
  return url.origin === here && !url.pathname.startsWith("//") ? `${url.pathname}${url.search}` : "/";
}

type Html = ReturnType<typeof html>;

function page(content: Html): Html {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>Sign in · Towpath</title><link rel="icon" href="/favicon.svg">
<link rel="stylesheet" href="/sign-in.css"></head>
<body><main>${content}</main></body></html>`;
}

const LINK_IS_OVER = page(html`<h1>This link does not sign you in</h1>
<p>A link works once, within ten minutes. <code>towpath open</code> prints another, or <a href="/">sign in with a key</a>.</p>`);

type Whom = NonNullable<Awaited<ReturnType<typeof readLink>>>;

function form(args: SignInLink & { whom: Whom }): Html {
  const { workspace, key, role } = args.whom;
  return page(html`<h1>Sign in to Towpath</h1>
<p>This link signs this browser in to the workspace <strong>${workspace}</strong> with the key <strong>${key}</strong> (${role}). It
works once. Continue only if you expected it: a link from another person opens that person's workspace.</p>
<form method="post" action="/sign-in"><input type="hidden" name="token" value="${args.token}">
<input type="hidden" name="to" value="${args.to}"><button>Sign this browser in</button></form>`);
}

/** The query parameters of a sign-in link. */
interface SignInLink {
  readonly token: string;
  readonly to: string;
}

/** Deletes the browser's session cookies, also those of plain http and of earlier releases. */
export function forgetCookies(deps: Deps, c: Context, except?: string): void {
  const { secure } = sessionCookie(deps, { c, origins: readOrigins(deps.config) });
  for (const name of Object.values(SESSION_COOKIES)) {
    const isPrefixed = name === SESSION_COOKIES.overTls;
    // A browser rejects every change to a `__Host-` cookie that does not come over TLS.
    if (name === except || (isPrefixed && !secure)) continue;
    setCookie(c, name, "", { httpOnly: true, sameSite: "Lax", path: "/", maxAge: 0, secure });
  }
}

async function signIn(deps: Deps, c: Context, args: SignInLink): Promise<Response> {
  const session = await redeemSignIn(deps, { token: args.token });
  if (session === null) return c.html(LINK_IS_OVER, 403);
  const { name, secure } = sessionCookie(deps, { c, origins: readOrigins(deps.config) });
  forgetCookies(deps, c, name);
  setCookie(c, name, session, {
    httpOnly: true,
    sameSite: "Lax",
    path: "/",
    maxAge: SESSION_SECONDS,
    secure,
  });
  return c.redirect(safePath(args.to), 303);
}

/**
 * Adds `GET /sign-in?token=…&to=/runs/…`, which shows the workspace and key of a link with a button, and the `POST` of
 * that button. The page always asks, because a link from another program may open a stranger's workspace, and browsers
 * do not tell it from a typed address. Showing the page does not use the link up.
 */
export function signInPage(deps: Deps) {
  return (app: Hono): void => {
    app.use("/sign-in", async (c, next) => {
      c.header("cache-control", "no-store");
      // With the policy `no-referrer` the form would send no origin, and `checkOrigin` would refuse it.
      c.header("referrer-policy", "same-origin");
      await next();
    });
    app.get("/sign-in", async (c) => {
      const asked = { token: c.req.query("token") ?? "", to: c.req.query("to") ?? "/" };
      // Hono also calls this handler for HEAD.
      if (c.req.method === "HEAD") return c.body(null, 200);
      const whom = await readLink(deps, asked);
      return whom === null ? c.html(LINK_IS_OVER, 403) : c.html(form({ ...asked, whom }));
    });
    app.post("/sign-in", bodyLimit({ maxSize: FORM_BYTES_MAX }), async (c) => {
      checkOrigin(deps, c);
      const { token, to } = await c.req.parseBody();
      const text = (value: unknown) => (typeof value === "string" ? value : "");
      return signIn(deps, c, { token: text(token), to: text(to) });
    });
  };
}
