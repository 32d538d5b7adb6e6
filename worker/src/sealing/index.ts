export {
  type AnswerOpener,
  NoWorkspaceKey,
  openCalled,
  openCheckpoints,
  openParameters,
  openSpec,
} from "./incoming.ts";
export { WorkerKeyring } from "./keyring.ts";
export { type RunSeal, type SealedRun, sealCall, sealJobChange, sealOf } from "./outgoing.ts";
export { maskOf, type PathMask } from "./question-paths.ts";
export { readKeyring } from "./read-keyring.ts";
export { checkSessionReads, LogsUnreadable } from "./stored-logs.ts";
