import { type Requirement, readRequirements } from "@towpath/contract";
import { EnvironmentError } from "./environment-error.ts";

/** The most bytes and packages of a requirements file. */
const BYTES_MAX = 8 * 1024 * 1024;
const PACKAGES_MAX = 5_000;

/**
 * Checks that each entry of a requirements file is a pinned version with hashes. An installer also obeys options in this file,
 * such as the address of an index, so nothing else is let through.
 * @throws EnvironmentError `bad-lock` with the number of the entry.
 */
export function checkRequirements(bytes: Uint8Array): Requirement[] {
  if (bytes.length > BYTES_MAX)
    throw new EnvironmentError("bad-lock", `The requirements have more than ${BYTES_MAX} bytes.`);
  const requirements = readRequirements(new TextDecoder().decode(bytes));
  const wrong = requirements.find(({ fault }) => fault !== null);
  if (wrong !== undefined)
    throw new EnvironmentError(
      "bad-lock",
      `Entry ${wrong.entry} of the requirements is not NAME==VERSION with --hash=sha256:… .`,
    );
  if (requirements.length > PACKAGES_MAX)
    throw new EnvironmentError("bad-lock", `The requirements have more than ${PACKAGES_MAX} packages.`);
  return requirements;
}
