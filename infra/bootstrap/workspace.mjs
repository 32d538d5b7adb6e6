import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BootstrapError } from "./failures.mjs";

const MEBIBYTE = 1024 * 1024;

/**
 * Makes sure that the checkout can be written to.
 * @throws BootstrapError with a sentence that says what to do
 */
export async function ensureWorkspace(root) {
  const probe = join(root, ".cache", `probe-${process.pid}`);
  try {
    await mkdir(join(root, ".cache"), { recursive: true });
    await writeFile(probe, "");
    await rm(probe);
  } catch (cause) {
    throw new BootstrapError(writeFaultOf(root, cause), { cause });
  }
}

/**
 * Makes sure that a download fits on the disk before it begins.
 * @throws BootstrapError if less than `neededMib` is free
 */
export async function ensureDiskSpace(root, { neededMib, what }) {
  const { bavail, bsize } = await statfs(root);
  const freeMib = Math.floor((Number(bavail) * Number(bsize)) / MEBIBYTE);
  if (freeMib >= neededMib) return;
  throw new BootstrapError(
    `${what} needs about ${neededMib} MiB, and only ${freeMib} MiB are free on the disk of ${root}.\n` +
      "Free some space, then run the same command again.",
  );
}

/** The error message for a checkout that cannot be written to. */
export function writeFaultOf(root, cause) {
  if (cause?.code === "ENOSPC") {
    return `The disk that holds ${root} is full. Free some space, then run the same command again.`;
  }
  return (
    `${root} cannot be written to (${cause?.code ?? cause}).\n` +
    "Make it writable for this user, or clone the project into a folder of yours, then run the same command again."
  );
}
