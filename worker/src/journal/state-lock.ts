import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { identifyProcess, isAlive, ProcessIdentity } from "@towpath/contract/process";
import { sleep } from "../host/clock.ts";
import { JournalError } from "./journal-error.ts";

const OWNER_ONLY_DIR = 0o700;
const OWNER_ONLY = 0o600;
const SQLITE_BUSY = 5;
const TRY_INTERVAL_MS = 25;
const MAX_TRIES = 200;

/** The right to use a state directory. */
export interface StateLock {
  /** Releases the directory. A second call does nothing. */
  release(): Promise<void>;
}

/**
 * Locks the state directory for this process, and makes it (mode 0700) if it is missing.
 *
 * The lock is the kernel's: a POSIX record lock on the file `lock`, taken through SQLite because Node has no other way.
 * The kernel drops it when its holder dies, so no lock is ever stale and two processes cannot both get it. It also
 * works between containers that share a volume. The file `holder.json` beside it only names the holder, and counts only
 * if that process (pid and start time) is alive.
 *
 * Nothing else in this process may open `lock`: closing it would drop the lock. It must not be deleted while held.
 * @throws JournalError `state-locked` with `holderPid`; `lock-unavailable` where the file system has no locks.
 */
export async function lockStateDir(dir: string): Promise<StateLock> {
  await makeStateDir(dir);
  for (let tried = 0; tried < MAX_TRIES; tried += 1) {
    const database = tryLock(dir);
    if (database) return await announce(dir, database);
    const holder = await readHolder(dir);
    if (holder && (await isAlive(holder))) throw lockedError(dir, holder.pid);
    // The holder has not written its name yet, or two processes started at once: look again.
    await sleep(TRY_INTERVAL_MS);
  }
  throw lockedError(dir, undefined);
}

async function makeStateDir(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: OWNER_ONLY_DIR });
  } catch (cause) {
    throw new JournalError("unwritable", `The state directory ${dir} cannot be created.`, { cause });
  }
}

function tryLock(dir: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(dir, "lock"), { timeout: 0 });
    // Nothing is ever stored: the open exclusive transaction on an empty file is the lock.
    database.exec("BEGIN EXCLUSIVE");
    return database;
  } catch (cause) {
    database?.close();
    if (isBusy(cause)) return undefined;
    throw new JournalError("lock-unavailable", `The state directory ${dir} cannot be locked.`, { cause });
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
}

async function announce(dir: string, database: DatabaseSync): Promise<StateLock> {
  try {
    const draft = `${holderPath(dir)}.draft`;
    await writeFile(draft, JSON.stringify(await identifyProcess(process.pid)), { mode: OWNER_ONLY });
    await rename(draft, holderPath(dir));
  } catch (cause) {
    database.close();
    throw new JournalError("unwritable", `The state directory ${dir} cannot be written.`, { cause });
  }
  return {
    async release() {
      if (!database.isOpen) return;
      // The name goes first: once the lock is free, the file may be that of another holder.
      await rm(holderPath(dir), { force: true });
      if (database.isOpen) database.close();
    },
  };
}

async function readHolder(dir: string): Promise<ProcessIdentity | undefined> {
  try {
    return ProcessIdentity.parse(JSON.parse(await readFile(holderPath(dir), "utf8")));
  } catch {
    // Missing or half written: the holder has the lock and is about to write its name.
    return undefined;
  }
}

function holderPath(dir: string): string {
  return join(dir, "holder.json");
}

function lockedError(dir: string, pid: number | undefined): JournalError {
  const who = pid === undefined ? "another process" : `process ${pid}`;
  const details = pid === undefined ? {} : { holderPid: pid };
  return new JournalError("state-locked", `The state directory ${dir} is in use by ${who}.`, details);
}
