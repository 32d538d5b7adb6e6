export { type ClaimSource, startClaiming } from "./claim.ts";
export { type Connection, createConnection } from "./connection.ts";
export { isPassing, isVersionRefusal } from "./errors.ts";
export type { Loop, LoopDeps } from "./loop.ts";
export { type ReadSource, startReading } from "./read.ts";
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
export { startTending, type TendSource } from "./tend.ts";
export { createTransport } from "./transport.ts";
