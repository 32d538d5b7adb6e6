export { openFloors } from "./floors.ts";
export { openTrustedKeys } from "./keys.ts";
export { openLedger } from "./ledger.ts";
export { NoLedger, Refusal, type RefusalCode } from "./refusal.ts";
export { openRemoteLedger, REMOTE_LEDGER_BYTES } from "./remote-ledger.ts";
export type { LedgerBook } from "./signed-specs.ts";
export { type Trust, verifyAssignment, verifyVersion } from "./verify.ts";
export { checkSessionWorkspace, WrongWorkspace } from "./workspace.ts";
