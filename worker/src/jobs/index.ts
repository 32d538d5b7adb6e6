export { Jobs } from "./jobs.ts";
export { Pollers } from "./pollers.ts";
