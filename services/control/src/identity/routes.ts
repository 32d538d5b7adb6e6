import type { SliceRoutes } from "../kernel/index.ts";
import { createKey, describeCaller, listKeys, revokeKey } from "./keys.ts";
import { createSignInLink } from "./sign-in.ts";

/** The routes of identity. */
export const identityRoutes: SliceRoutes = (register) => {
  register("getMe", ({ deps, scope }) => describeCaller(deps, { scope }));
  register("createKey", ({ deps, scope, body }) => createKey(deps, { scope, input: body }));
  register("listKeys", ({ deps, scope, query }) => listKeys(deps, { scope, ...query }));
  register("revokeKey", async ({ deps, scope, params }) => {
    await revokeKey(deps, { scope, keyId: params.keyId });
    return undefined;
  });
  register("createSignInLink", ({ deps, scope, c }) => {
    const baseUrl = deps.config.publicUrl ?? new URL(c.req.url).origin;
    return createSignInLink(deps, { scope, baseUrl });
  });
};
