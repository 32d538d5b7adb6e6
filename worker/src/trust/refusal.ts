import type { Cause } from "@towpath/contract";

/** Why a worker will not run what it was given: one row per reason, with the cause that the run ends with. */
export const REFUSALS = {
  "bad-signature": "refused",
  "untrusted-key": "refused",
  "invalid-spec": "refused",
  "wrong-workspace": "refused",
  "wrong-deployment": "refused",
  "wrong-version": "refused",
  "wrong-pool": "refused",
  "wrong-task": "refused",
  "expired-spec": "refused",
  "below-floor": "refused",
  "registry-not-allowed": "refused",
  "bad-code": "refused",
  "invalid-parameters": "invalid-parameters",
} as const satisfies Record<string, Cause>;

/** The name of one reason. */
export type RefusalCode = keyof typeof REFUSALS;

/** The worker will not run this, now or later. The message is for whoever deploys: it says what to do, and quotes no value. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;

  constructor(code: RefusalCode, sentence: string) {
    super(sentence);
    this.code = code;
  }

  /** The cause with which the attempt ends. */
  get endCause(): Cause {
    return REFUSALS[this.code];
  }
}
