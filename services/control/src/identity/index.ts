import type { PeriodicJob } from "../kernel/index.ts";
import { forgetSignInsPeriodicJob } from "./sign-in.ts";

export { bootstrap, createWorkspace } from "./bootstrap.ts";
export { identifyWith } from "./identify.ts";
export { createKey } from "./keys.ts";
export { identityRoutes } from "./routes.ts";
export { signInPage } from "./sign-in-page.ts";
export { updateSealed } from "./store.ts";
export { issueWorkerToken, WORKER_TOKEN_MS } from "./worker-token.ts";

/** The timed periodic jobs of identity. */
export const identityPeriodicJobs: readonly PeriodicJob[] = [forgetSignInsPeriodicJob];
