import { fileURLToPath } from "node:url";
import { Failure } from "../failure.ts";

/**
 * The programs that the CLI starts as processes of their own, by names that the manifest maps to files (`imports`):
 * in this repository to other rooms, in the published package to their bundles.
 */
const PROGRAMS = { control: "#control", demo: "#demo", worker: "#worker", cli: "#cli" } as const;

/** The oldest Node that we run on calls parts of itself experimental that we rely on; its users need no telling. */
const QUIET = "--disable-warning=ExperimentalWarning";

/**
 * The arguments with which Node starts a program. Found by name and never imported.
 * @throws Failure when it is not installed.
 */
export function programArguments(name: keyof typeof PROGRAMS, ...given: readonly string[]): string[] {
  try {
    return [QUIET, fileURLToPath(import.meta.resolve(PROGRAMS[name])), ...given];
  } catch (cause) {
    throw new Failure(`The ${name} program is missing from this installation of towpath.`, {
      exit: "configuration",
      code: "not-installed",
      next: ["install it again: `npm install towpath`"],
      cause,
    });
  }
}
