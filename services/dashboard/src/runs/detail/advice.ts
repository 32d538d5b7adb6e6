import type { RunFailure } from "@towpath/contract";

/** The history before a failure, and what to check next. */
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
