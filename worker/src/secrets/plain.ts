import { readFile, stat } from "node:fs/promises";
import { isMissing } from "../state/atomic-file.ts";
import { SECRET_MAX_BYTES } from "./limits.ts";
import { SecretUnavailable } from "./secret-unavailable.ts";
import type { PlainSource } from "./shapes.ts";

/**
 * Reads one secret from a file or a variable. A file's last line ending is not part of it, because editors add one.
 * @param args.name Its name in a message, such as `the worker's key`.
 * @throws SecretUnavailable when the variable or file is missing, empty or too long, or the file cannot be read.
 */
export async function readPlain(
  environment: Readonly<Record<string, string | undefined>>,
  args: { name: string; source: PlainSource },
): Promise<string> {
  const { name, source } = args;
  const isFile = "file" in source;
  const value = isFile ? await readSecretFile(name, source.file) : environment[source.env];
  const where = isFile ? `the file ${source.file}` : `the variable ${source.env}`;
  if (value === undefined || value === "") {
    // A program that writes a file anew empties it for a moment.
    const sentence = `${upper(name)} is missing: set ${where} for the worker's process.`;
    throw new SecretUnavailable(sentence, { isMissing: !isFile });
  }
  if (Buffer.byteLength(value) > SECRET_MAX_BYTES) throw tooLong(name, where);
  return value;
}

async function readSecretFile(name: string, path: string): Promise<string> {
  try {
    // The size is checked first, so that a wrong path cannot fill the memory.
    if ((await stat(path)).size > SECRET_MAX_BYTES + 2) throw tooLong(name, path);
    return (await readFile(path, "utf8")).replace(/\r?\n$/, "");
  } catch (error) {
    if (error instanceof SecretUnavailable) throw error;
    throw new SecretUnavailable(
      `${upper(name)} cannot be read from ${path}; check the path and its permissions.`,
      {
        isMissing: isMissing(error),
      },
    );
  }
}

/** The fault of a secret that is longer than the worker takes. */
export function tooLong(name: string, where: string): SecretUnavailable {
  return new SecretUnavailable(`${upper(name)} in ${where} is longer than ${SECRET_MAX_BYTES} bytes.`);
}

/** A text with its first letter in upper case. */
export function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
