import { Problem } from "@towpath/contract";

/** Whether a failure means that nobody is signed in. */
export function needsSignIn(failure: unknown): boolean {
  return failure instanceof Problem && failure.code === "unauthenticated";
}
