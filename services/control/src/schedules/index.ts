export { schedulesDuties } from "./duties.ts";
export { schedulesRoutes } from "./routes.ts";
export { seedSchedules } from "./seed.ts";
