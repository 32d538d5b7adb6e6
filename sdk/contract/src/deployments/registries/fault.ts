/** Why a code registry could not be used. The same names as the worker's code errors. */
export type RegistryFaultCode =
  | "registry-unreachable"
  | "unauthorized"
  | "not-found"
  | "bad-source"
  | "bad-answer"
  | "too-large"
  | "digest-mismatch";

/** An expected failure of a code registry. The message has no address and no credential, because it may leave the network. */
export class RegistryFault extends Error {
  override readonly name = "RegistryFault";
  readonly code: RegistryFaultCode;
  /** An address or an answer of the registry, without credentials. Only for logs and terminals of the customer's side. */
  readonly detail: string | undefined;

  constructor(
    code: RegistryFaultCode,
    message: string,
    more: { detail?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? {} : { cause: more.cause });
    this.code = code;
    this.detail = more.detail;
  }
}
