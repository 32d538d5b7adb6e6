export { checkWithin } from "./check-within.ts";
export { getLatestVersion, getVersion, type PinnedVersion } from "./deployments.ts";
export { registerVersion } from "./register.ts";
export { deploymentsRoutes } from "./routes.ts";
