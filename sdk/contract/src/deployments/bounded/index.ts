/**
 * Checks of foreign data against a foreign schema, in threads with limits of time and memory. It needs Node's own modules,
 * so that it is a door of its own (`@towpath/contract/bounded`): everything else here runs in a browser as well.
 */
export { CheckPool, type CheckPoolOptions, type CheckRequest, type NoAnswer, type Outcome } from "./pool.ts";
