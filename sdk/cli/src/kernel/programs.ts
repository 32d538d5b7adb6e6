import { fileURLToPath } from "node:url";
import { Failure } from "../failure.ts";

/** The programs that the CLI starts as processes of their own. */
const PROGRAMS = { control: "@towpath/control/main", worker: "@towpath/worker/main" } as const;

/** The file to start a program with. Found by name and never imported. @throws Failure when it is not installed. */
export function programFile(name: keyof typeof PROGRAMS): string {
  try {
    return fileURLToPath(import.meta.resolve(PROGRAMS[name]));
  } catch (cause) {
    throw new Failure(`${PROGRAMS[name].replace("/main", "")} is not installed here.`, {
      exit: "configuration",
      code: "not-installed",
      next: [`install it beside the CLI: \`npm install ${PROGRAMS[name].replace("/main", "")}\``],
      cause,
    });
  }
}
