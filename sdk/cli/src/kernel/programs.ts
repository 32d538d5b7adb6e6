import { fileURLToPath } from "node:url";
import { Failure } from "../failure.ts";

/**
 * The programs that the CLI starts as processes. The manifest's `imports` map their names to files: in this repository
 * to other packages, in the published package to bundles.
 */
const PROGRAMS = { control: "#control", demo: "#demo", worker: "#worker", cli: "#cli" } as const;

/** Hides warnings of the oldest supported Node about experimental features that we use. */
const QUIET = "--disable-warning=ExperimentalWarning";

/**
 * Node's arguments to start a program.
 * @throws Failure if it is not installed.
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
