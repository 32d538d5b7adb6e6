export { LiveSecrets, watchSecrets } from "./live-secrets.ts";
export {
  readSecret,
  readWorkerKey,
  SECRET_MAX_BYTES,
  SecretsMissing,
  SecretUnavailable,
} from "./providers.ts";
export {
  createRedactor,
  holdsSecret,
  isWholeSecret,
  type Redactor,
  redactAndCut,
  redactWhole,
  secretParts,
} from "./redact.ts";
export { redactCall } from "./redact-call.ts";
export {
  redactBulk,
  redactControl,
  redactError,
  redactJobChange,
  redactPath,
  redactPaths,
  redactRef,
  type Unnumbered,
} from "./redact-record.ts";
