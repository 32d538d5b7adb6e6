import { Problem } from "@towpath/contract";
import type { SliceRoutes } from "../kernel/index.ts";
import { createKey, describeCaller, listKeys, revokeKey } from "./keys.ts";
import { createSignInLink, endSession, listSessions } from "./sign-in.ts";
import { forgetCookies } from "./sign-in-page.ts";

/** The routes of identity. */
export const identityRoutes: SliceRoutes = (register) => {
  register("getMe", ({ deps, scope }) => describeCaller(deps, { scope }));
  register("createKey", ({ deps, scope, body }) => createKey(deps, { scope, input: body }));
  register("listKeys", ({ deps, scope, query }) => listKeys(deps, { scope, ...query }));
  register("revokeKey", async ({ deps, scope, params }) => {
    await revokeKey(deps, { scope, keyId: params.keyId });
    return undefined;
  });
  register("listSessions", ({ deps, scope }) => listSessions(deps, { scope }));
  register("endSession", async ({ deps, scope, params }) => {
    await endSession(deps, { scope, sessionId: params.sessionId });
    return undefined;
  });
  register("signOut", async ({ deps, scope, c }) => {
    const { session } = scope.actor;
    if (session === undefined) return undefined;
    await endSession(deps, { scope, sessionId: session.id });
    forgetCookies(deps, c);
    return undefined;
  });
  register("createSignInLink", async ({ deps, scope, c }) => {
    // A stolen cookie must not open further sessions: they would last as long as the key.
    if (scope.actor.kind === "session")
      throw new Problem("forbidden", "A browser cannot create a sign-in link. Create it with a key.");
    const baseUrl = deps.config.publicUrl ?? new URL(c.req.url).origin;
    return createSignInLink(deps, { scope, baseUrl });
  });
};
