export { ExternalSources } from "./external.ts";
export { SECRET_MAX_BYTES } from "./limits.ts";
export { LiveSecrets, watchSecrets } from "./live-secrets.ts";
export { placeOf, readSecret, readWorkerKey } from "./providers.ts";
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
export { SecretsMissing, SecretUnavailable } from "./secret-unavailable.ts";
