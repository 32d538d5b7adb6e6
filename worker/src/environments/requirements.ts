import { EnvironmentError } from "./environment-error.ts";

/** The most bytes and packages of a requirements file. */
const BYTES_MAX = 8 * 1024 * 1024;
const PACKAGES_MAX = 5_000;

/** `name==version`, perhaps with extras and a marker, and then its hashes. An address or an option is no such line. */
const LINE =
  /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9._, -]*\])? ?== ?[A-Za-z0-9.!+_-]+ *(?:;[^#]*?)?((?: +--hash=sha256:[0-9a-f]{64})+)$/;

/**
 * Checks that each line of a requirements file is a pinned version with hashes. An installer also obeys options in this file,
 * such as the address of an index, so nothing else is let through.
 * @returns The number of packages.
 * @throws EnvironmentError `bad-lock` with the number of the line.
 */
export function checkRequirements(bytes: Uint8Array): number {
  if (bytes.length > BYTES_MAX)
    throw new EnvironmentError("bad-lock", `The requirements have more than ${BYTES_MAX} bytes.`);
  let packages = 0;
  const lines = new TextDecoder()
    .decode(bytes)
    .replaceAll(/\\\r?\n/g, " ")
    .split("\n");
  for (const [index, line] of lines.entries()) {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) continue;
    if (!LINE.test(text.replaceAll(/\s+/g, " ")))
      throw new EnvironmentError(
        "bad-lock",
        `Entry ${index + 1} of the requirements is not NAME==VERSION with --hash=sha256:… .`,
      );
    packages += 1;
  }
  if (packages > PACKAGES_MAX)
    throw new EnvironmentError("bad-lock", `The requirements have more than ${PACKAGES_MAX} packages.`);
  return packages;
}
