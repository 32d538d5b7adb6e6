export { type Origins, readOrigins } from "./address.ts";
export { createApp } from "./app.ts";
export { type Caller, ForeignToken, type Identify, SESSION_COOKIES, type Turn } from "./caller.ts";
export { dashboard } from "./dashboard.ts";
export { loggableError } from "./failure.ts";
export { faultsOf } from "./input.ts";
export { CONTAINERS_MAX, textFault } from "./json-text.ts";
export { headerOf } from "./node-request.ts";
export { probes } from "./probes.ts";
