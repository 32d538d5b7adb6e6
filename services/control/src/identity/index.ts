import type { Duty } from "../kernel/index.ts";
import { forgetSignInsDuty } from "./sign-in.ts";

export { bootstrap, createWorkspace } from "./bootstrap.ts";
export { identifyWith } from "./identify.ts";
export { createKey } from "./keys.ts";
export { identityRoutes } from "./routes.ts";
export { signInPage } from "./sign-in-page.ts";
export { issueWorkerToken, WORKER_TOKEN_MS } from "./worker-token.ts";

/** The timed duties of identity. */
export const identityDuties: readonly Duty[] = [forgetSignInsDuty];
