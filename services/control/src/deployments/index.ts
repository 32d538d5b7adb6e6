export { endedThread } from "./bounded-check.ts";
export { answerProblems, checkAnswer, checkRunParameters, parameterProblems } from "./check-parameters.ts";
export {
  firstDeployment,
  forgetLatest,
  getDeployment,
  getLatestVersion,
  getVersion,
  getVersionDetail,
  likelyLatestVersion,
  lockForRemoval,
  type PinnedVersion,
} from "./deployments.ts";
export { addVersion, type Registered } from "./register.ts";
export { deploymentsRoutes } from "./routes.ts";
export {
  deleteVersionRow as deleteVersion,
  deploymentsOfPool,
  markRemoved,
  type PoolUser,
  type SupersededVersion,
  selectSuperseded,
} from "./store.ts";
