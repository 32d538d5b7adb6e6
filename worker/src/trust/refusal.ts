import type { Cause } from "@towpath/contract";

/** Why a worker refuses an assignment, with the cause that the run ends with. */
export const REFUSALS = {
  "bad-signature": "refused",
  "untrusted-key": "refused",
  "revoked-key": "refused",
  "key-not-valid": "refused",
  "missing-signature": "refused",
  "not-in-ledger": "refused",
  "other-in-ledger": "refused",
  "ledger-unavailable": "refused",
  "invalid-spec": "refused",
  "wrong-workspace": "refused",
  "wrong-deployment": "refused",
  "wrong-version": "refused",
  "wrong-pool": "refused",
  "wrong-task": "refused",
  "wrong-ref": "refused",
  "expired-spec": "refused",
  "below-floor": "refused",
  "registry-not-allowed": "refused",
  "bad-code": "refused",
  "no-python": "refused",
  "bad-environment": "refused",
  "bad-seal": "refused",
  "plain-value": "refused",
  "invalid-parameters": "invalid-parameters",
  unchecked: "refused",
} as const satisfies Record<string, Cause>;

/** The name of one reason. */
export type RefusalCode = keyof typeof REFUSALS;

/** The worker will never run this. The message is for the author of the deployment: it says what to do, and quotes no value. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;
  /** The message without what a sealed workspace hides, such as the names of parameters. The message itself leaves as an error, sealed. */
  readonly openMessage: string;

  constructor(code: RefusalCode, sentence: string, openSentence: string = sentence) {
    super(sentence);
    this.code = code;
    this.openMessage = openSentence;
  }

  /** Whether it says nothing about other runs of the version: the creator of this one must correct it. */
  get isOfOneRun(): boolean {
    return this.code === "invalid-parameters" || this.code === "bad-seal";
  }

  /** Whether it says nothing about the worker's other deployments. */
  get isOfOneDeployment(): boolean {
    return [
      "invalid-parameters",
      "no-python",
      "bad-environment",
      "bad-seal",
      "plain-value",
      "wrong-ref",
    ].includes(this.code);
  }

  /** Whether something outside of the spec can still allow it. The run then waits. */
  get mayPass(): boolean {
    return ["missing-signature", "not-in-ledger", "ledger-unavailable", "unchecked"].includes(this.code);
  }

  /** The cause with which the attempt ends. */
  get endCause(): Cause {
    return REFUSALS[this.code];
  }
}

/** The worker can verify no spec, because it has no ledger. That is the worker's own fault. */
export class NoLedger extends Refusal {
  constructor(sentence: string) {
    super("ledger-unavailable", sentence);
  }
}
