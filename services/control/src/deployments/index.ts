export { checkAnswer, checkRunParameters, parameterProblems } from "./check-parameters.ts";
export {
  forgetLatest,
  getLatestVersion,
  getVersion,
  getVersionDetail,
  likelyLatestVersion,
  type PinnedVersion,
} from "./deployments.ts";
export { type OnRegistered, type Registered, registerVersion } from "./register.ts";
export { deploymentsRoutes } from "./routes.ts";
export { deleteVersionRow as deleteVersion, type SupersededVersion, selectSuperseded } from "./store.ts";
