import { derivePeriodicJob, latePeriodicJob } from "./derive.ts";
import { forgetDeliveriesPeriodicJob, sendPeriodicJob } from "./send.ts";

export { importNotifier, type ToldBefore } from "./import.ts";
export { notifyRoutes } from "./routes.ts";

/** The timed periodic jobs of notify. */
export const notifyPeriodicJobs = [
  derivePeriodicJob,
  latePeriodicJob,
  sendPeriodicJob,
  forgetDeliveriesPeriodicJob,
];
