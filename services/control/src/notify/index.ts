import { derivePeriodicJob, latePeriodicJob, questionPeriodicJob } from "./derive.ts";
import { forgetDeliveriesPeriodicJob, sendPeriodicJob } from "./send.ts";

export { noticeOf } from "./derive.ts";
export { createNotifier } from "./notifiers.ts";
export { notifyRoutes } from "./routes.ts";

/** The timed periodic jobs of notify. */
export const notifyPeriodicJobs = [
  derivePeriodicJob,
  latePeriodicJob,
  questionPeriodicJob,
  sendPeriodicJob,
  forgetDeliveriesPeriodicJob,
];
