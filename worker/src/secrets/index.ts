export { SecretUnavailable } from "./errors.ts";
export { readSecret, resolveSecrets, SECRET_MAX_BYTES, type SecretProviders } from "./providers.ts";
export { createRedactor, type Redactor, redactAndCut, redactWhole, secretParts } from "./redact.ts";
export {
  redactBulk,
  redactControl,
  redactError,
  redactJson,
  redactPath,
  redactRef,
  redactWait,
  type Unnumbered,
} from "./redact-record.ts";
