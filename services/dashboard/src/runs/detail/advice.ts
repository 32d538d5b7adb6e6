import type { RunFailure } from "@towpath/contract";

/** What is known of the time before a failure, as sentences that end in what to look at. */
export function historyOf(
  a: Pick<RunFailure, "lastCompleted" | "failingSince"> & { version: number },
): string {
  if (a.lastCompleted === null) return "No earlier run of this deployment completed.";
  const other = a.lastCompleted.version !== a.version;
  const code = other
    ? `That was version ${a.lastCompleted.version}, this is ${a.version}: see what changed.`
    : "The code is the same: look at its input and surroundings.";
  return a.failingSince === null ? `This is the first failure since. ${code}` : code;
}
