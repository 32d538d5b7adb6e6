/** A secret cannot be had now. The message says what to do and never holds the value. */
export class SecretUnavailable extends Error {
  override readonly name = "SecretUnavailable";
  readonly secret: string;

  constructor(secret: string, what: string) {
    super(what);
    this.secret = secret;
  }
}
