export { createApp } from "./app.ts";
export { headerOf } from "./beneath.ts";
export type { Caller, Identify } from "./caller.ts";
export { dashboard } from "./dashboard.ts";
export { loggableError } from "./failure.ts";
export { faultsOf } from "./input.ts";
export { textFault } from "./json-text.ts";
export { probes } from "./probes.ts";
