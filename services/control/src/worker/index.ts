export { claim, claimNext, Dispatchers, type Poll } from "./claim/poll.ts";
export { renew } from "./claim/renew.ts";
export { report } from "./report/report.ts";
export { workerRoutes } from "./routes.ts";
