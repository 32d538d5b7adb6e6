/** A secret cannot be read now. The message says what to do and never has the value. */
export class SecretUnavailable extends Error {
  override readonly name: string = "SecretUnavailable";
  /** Whether its variable is not set, or its file or its field of a Vault does not exist. Other faults may pass. */
  readonly isMissing: boolean;
  /** Whether it comes from a command or a Vault that gives no value only for now. The worker waits for those. */
  readonly isPassing: boolean;

  constructor(sentence: string, more: { isMissing?: boolean; isPassing?: boolean } = {}) {
    super(sentence);
    this.isMissing = more.isMissing ?? false;
    this.isPassing = more.isPassing ?? false;
  }
}

/** Secrets of a deployment have no value on this worker. */
export class SecretsMissing extends SecretUnavailable {
  override readonly name: string = "SecretsMissing";

  constructor(sentence: string) {
    super(sentence, { isMissing: true });
  }
}

/**
 * A command or a Vault gives no value. Secrets that share one source share its fault, so it does not name the secret.
 * The texts leave this network: they have no value, no address, and nothing that the source printed.
 */
export class SourceFault extends Error {
  override readonly name = "SourceFault";
  /** A clause without a full stop, such as `its command ended with code 3`. */
  readonly what: string;
  /** A sentence. */
  readonly next: string;
  readonly isMissing: boolean;
  /** Whether the source as a whole is down, so that asking it for something else is useless. */
  readonly isOutage: boolean;

  constructor(args: {
    what: string;
    next: string;
    isMissing?: boolean;
    isOutage?: boolean;
    cause?: unknown;
  }) {
    super(`${args.what}. ${args.next}`, { cause: args.cause });
    this.what = args.what;
    this.next = args.next;
    this.isMissing = args.isMissing ?? false;
    this.isOutage = args.isOutage ?? false;
  }
}
