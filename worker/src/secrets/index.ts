export { SecretUnavailable } from "./errors.ts";
export { readSecret, readWorkerKey, resolveSecrets, SECRET_MAX_BYTES } from "./providers.ts";
export { createRedactor, type Redactor, redactAndCut, redactWhole, secretParts } from "./redact.ts";
export {
  redactBulk,
  redactControl,
  redactError,
  redactPath,
  redactRef,
  redactWait,
  type Unnumbered,
} from "./redact-record.ts";
