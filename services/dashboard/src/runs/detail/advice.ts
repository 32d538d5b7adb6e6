import type { RunFailure } from "@towpath/contract";

/** What is known of the time before a failure, as sentences that end in what to look at. */
export function historyOf(
  args: Pick<RunFailure, "lastCompleted" | "failingSince"> & { version: number },
): string {
  if (args.lastCompleted === null) return "No earlier run of this deployment has completed.";
  const other = args.lastCompleted.version !== args.version;
  const code = other
    ? `It ran version ${args.lastCompleted.version}, this run version ${args.version}: compare the versions.`
    : "The code is the same: check the input and the environment.";
  return args.failingSince === null ? `This is the first failure since then. ${code}` : code;
}
