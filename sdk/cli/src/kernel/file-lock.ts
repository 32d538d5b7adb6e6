import { mkdir, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Failure } from "../failure.ts";

/** How long a command waits for another that writes the file. */
const LOCK_WAIT_MS = 5_000;
const LOCK_POLL_MS = 20;

/** The code of an error of the file system, or `unknown`. */
export function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
}

function unwritable(file: string, cause: unknown, advice: string): Failure {
  return new Failure(`${file} cannot be written (${codeOf(cause)}).`, {
    exit: "cannotWrite",
    code: "not-writable",
    next: [advice],
    cause,
  });
}

/**
 * Holds a file's lock during some work, so that two commands do not lose each other's changes. A lock that a killed command
 * left is not broken: the failure names it. Breaking it could break a lock that another command has just taken.
 * @param advice What to do if the folder cannot be written.
 * @throws Failure `locked`, `not-writable`.
 */
export async function whileLocked<T>(
  file: string,
  work: () => Promise<T>,
  advice = "change its permissions, or choose another folder with XDG_CONFIG_HOME",
): Promise<T> {
  const lock = `${file}.lock`;
  for (let waitedMs = 0; ; waitedMs += LOCK_POLL_MS) {
    try {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      await (await open(lock, "wx", 0o600)).close();
      break;
    } catch (cause) {
      const isHeld = codeOf(cause) === "EEXIST";
      if (!isHeld) throw unwritable(file, cause, advice);
      if (waitedMs >= LOCK_WAIT_MS)
        throw new Failure(`Another command is writing ${file}.`, {
          exit: "cannotWrite",
          code: "locked",
          next: [`try again; if no other command runs, a killed one left its lock: remove ${lock}`],
          cause,
        });
    }
    await pause(LOCK_POLL_MS);
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}
