export { type Backoff, type BackoffLimits, createBackoff, NETWORK_BACKOFF } from "./backoff.ts";
export { type ClaimSource, startClaiming } from "./claim.ts";
export { type Connection, type ConnectionDeps, createConnection } from "./connection.ts";
export { isPassing, isVersionRefusal, ProtocolError, Unreachable } from "./errors.ts";
export type { Loop, LoopDeps } from "./loop.ts";
export { type RenewSource, startRenewing } from "./renew.ts";
export {
  type AttemptAnswer,
  type NumberedRecord,
  type PageBudget,
  type Reporting,
  type ReportPage,
  type ReportSource,
  startReporting,
} from "./report.ts";
export { type Bell, createBell, pause, waitOrRing } from "./signal.ts";
export { startTending, type TendSource } from "./tend.ts";
export { createTransport, type Transport, type Verb } from "./transport.ts";
