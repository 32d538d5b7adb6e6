import { readdir, readFile, readlink } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { sleep } from "../host/index.ts";
import { processesOf } from "./user-processes.ts";

const nameOf = (uid: number) => `towpath-user-${uid}`;
const TRIES = 100;
const BETWEEN_TRIES_MS = 10;

/**
 * Takes the machine's one name of a user. It lasts as long as the returned socket. Any process may listen at it, so a process of an
 * attempt that does is killed: otherwise a flow could keep all users from being given out.
 * @param isOfAttempts Whether a number is a user of attempts.
 * @returns null if another worker has it.
 */
export async function takeName(uid: number, isOfAttempts: (uid: number) => boolean): Promise<Server | null> {
  const server = await listen(uid);
  if (server !== null || !(await killHolders(uid, isOfAttempts))) return server;
  for (let tried = 0; tried < TRIES; tried++) {
    const again = await listen(uid);
    if (again !== null) return again;
    await sleep(BETWEEN_TRIES_MS);
  }
  return null;
}

/** Gives a name back. */
export async function leaveName(server: Server): Promise<void> {
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}

/** Null: another process listens. */
async function listen(uid: number): Promise<Server | null> {
  const server = createServer((socket) => socket.destroy());
  const { promise, resolve } = Promise.withResolvers<Server | null>();
  server.once("error", () => resolve(null));
  // The name begins with NUL: it is in the kernel's table and no file.
  server.listen(`\0${nameOf(uid)}`, () => resolve(server));
  server.unref();
  return await promise;
}

/** Kills the processes of attempts that listen at a name. @returns whether there was one. */
async function killHolders(uid: number, isOfAttempts: (uid: number) => boolean): Promise<boolean> {
  const sockets = await socketsAt(`@${nameOf(uid)}`);
  let hasKilled = false;
  for (const pid of await processesOf(isOfAttempts)) {
    if (!(await holdsAny(pid, sockets))) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
    hasKilled = true;
  }
  return hasKilled;
}

/** What links to the open sockets at a path look like. */
async function socketsAt(path: string): Promise<ReadonlySet<string>> {
  const table = await readFile("/proc/net/unix", "latin1").catch(() => "");
  const rows = table.split("\n").map((line) => line.trim().split(/\s+/));
  return new Set(rows.flatMap(([, , , , , , inode, at]) => (at === path ? [`socket:[${inode}]`] : [])));
}

async function holdsAny(pid: number, sockets: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  for (const name of await readdir(folder).catch(() => [])) {
    const target = await readlink(`${folder}/${name}`).catch(() => "");
    if (sockets.has(target)) return true;
  }
  return false;
}
