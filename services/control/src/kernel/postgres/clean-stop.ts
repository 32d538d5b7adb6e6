import { createHash } from "node:crypto";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Postgres writes this file last when it stops. */
const CONTROL_FILE = join("data", "global", "pg_control");
/** Where that file has the server's state, and the state of one that was stopped cleanly (`DB_SHUTDOWNED`). */
const STATE_OFFSET = 16;
const STOPPED = 1;
const NOTE = "stopped";

/**
 * Notes, after a stop, what the data directory looks like. A copy of the directory has another inode and time of change, so it does not
 * look like the original.
 */
export async function noteCleanStop(root: string): Promise<void> {
  const look = await lookAt(root);
  if (look !== null) await writeFile(join(root, NOTE), look, { mode: 0o600 });
}

/**
 * Whether the data directory is as the last stop left it: then the database has lost nothing since. The note is removed, so a server that
 * is killed leaves none.
 */
export async function takeCleanStop(root: string): Promise<boolean> {
  const path = join(root, NOTE);
  const noted = await readFile(path, "utf8").catch(() => null);
  await rm(path, { force: true });
  return noted !== null && noted === (await lookAt(root));
}

/** Null if the server was not stopped cleanly. */
async function lookAt(root: string): Promise<string | null> {
  const path = join(root, CONTROL_FILE);
  try {
    const [bytes, { ino, ctimeNs }] = await Promise.all([readFile(path), stat(path, { bigint: true })]);
    const content = createHash("sha256").update(bytes).digest("hex");
    return bytes.readUInt32LE(STATE_OFFSET) === STOPPED ? `${content} ${ino} ${ctimeNs}\n` : null;
  } catch {
    return null;
  }
}
