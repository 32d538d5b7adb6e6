import type { RunFailure } from "@towpath/contract";

/** What is known of the time before a failure, as sentences that end in what to look at. */
export function historyOf(
  args: Pick<RunFailure, "lastCompleted" | "failingSince"> & { version: number },
): string {
  if (args.lastCompleted === null) return "No earlier run of this deployment completed.";
  const other = args.lastCompleted.version !== args.version;
  const code = other
    ? `That was version ${args.lastCompleted.version}, this is ${args.version}: see what changed.`
    : "The code is the same: look at its input and surroundings.";
  return args.failingSince === null ? `This is the first failure since. ${code}` : code;
}
