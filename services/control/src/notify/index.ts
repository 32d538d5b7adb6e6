import { deriveDuty, lateDuty } from "./derive.ts";
import { forgetDeliveriesDuty, sendDuty } from "./send.ts";

export { importNotifier, type ToldBefore } from "./import.ts";
export { notifyRoutes } from "./routes.ts";

/** The timed duties of notify. */
export const notifyDuties = [deriveDuty, lateDuty, sendDuty, forgetDeliveriesDuty];
