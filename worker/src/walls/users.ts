import { createHash } from "node:crypto";
import { chown, lstat, mkdir, readdir } from "node:fs/promises";
import type { Server } from "node:net";
import { join } from "node:path";
import type { ProcessRow } from "@towpath/contract/process";
import type { Logger } from "pino";
import { removeUnfollowed } from "./own-tree.ts";
import type { UserRange } from "./run-as.ts";
import { removeIpc } from "./shared-memory.ts";
import { leaveName, takeName } from "./user-name.ts";
import { killUser, processesOf } from "./user-processes.ts";

/** How many users are checked before they are needed. */
const READY = 2;
/** Folders in which everyone may write. */
const OPEN_FOLDERS = ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock"];

/** A user for the processes of one attempt. Its group has the same number, and no other member. */
export interface AttemptUser {
  readonly uid: number;
  /** A folder that only this user may enter: its HOME, with its folder of temporary files. */
  readonly home: string;
}

/** No user is free. */
export class NoUserFree extends Error {
  override readonly name = "NoUserFree";
}

/** What giving out users needs. */
export interface UsersDeps {
  readonly log: Logger;
  /** The folder of their home folders. Root's. */
  readonly dir: string;
  readonly range: UserRange;
}

/** A folder of temporary files in a user's home. */
export function temporaryFolder({ home }: AttemptUser): string {
  return join(home, "tmp");
}

/**
 * Gives each attempt a user, and takes it back once nothing of it is left: no process, and no file in the folders where it could
 * leave one. While a user is given out, this process listens on a socket with its name, so that no other worker of this machine
 * gives it out. The kernel closes the socket with the process. Then the running processes of the attempt keep the user from
 * being given out.
 */
export class Users {
  readonly #deps: UsersDeps;
  readonly #given = new Map<
    number,
    { readonly user: AttemptUser; readonly server: Server; isInside: boolean }
  >();
  #ready: AttemptUser[] = [];
  #making: Promise<void> = Promise.resolve();
  #next: number;
  #isClosed = false;

  constructor(deps: UsersDeps) {
    this.#deps = deps;
    // Workers that share a range begin at different places.
    const seed = createHash("sha256").update(deps.dir).digest().readUInt32BE(0);
    this.#next = seed % this.#size;
  }

  get #size(): number {
    return this.#deps.range.last - this.#deps.range.first;
  }

  /** The group by which attempts share a store in a folder. */
  get storeGroup(): number {
    return this.#deps.range.first;
  }

  /** Whether a number can be a user of an attempt. */
  includes(uid: number): boolean {
    return uid > this.#deps.range.first && uid <= this.#deps.range.last;
  }

  /**
   * Keeps the users of attempts that an earlier process of this worker left, and removes what its other users left.
   */
  async restore(kept: ReadonlySet<number>): Promise<void> {
    await mkdir(this.#deps.dir, { recursive: true, mode: 0o711 });
    for (const uid of kept) {
      const server = this.includes(uid) ? await this.#takeName(uid) : null;
      if (server !== null) this.#give(uid, server);
    }
    for (const name of await readdir(this.#deps.dir)) {
      const uid = Number(name);
      if (kept.has(uid)) continue;
      const server = this.includes(uid) ? await this.#takeName(uid) : null;
      // Another worker of this machine has the user now. Only the folder is left of the attempt here.
      if (server === null) await removeUnfollowed(join(this.#deps.dir, name));
      else await this.release(this.#give(uid, server));
    }
    this.#refill();
  }

  /** A user that no process has. @throws NoUserFree */
  async take(): Promise<AttemptUser> {
    if (this.#ready.length === 0) await this.#making;
    const user = this.#ready.shift() ?? (await this.#make());
    this.#refill();
    return user;
  }

  /** A user that was kept for an attempt of an earlier process of this worker. Null: another worker has it by now. */
  kept(uid: number): AttemptUser | null {
    return this.#given.get(uid)?.user ?? null;
  }

  /**
   * All processes of a user are in namespaces: what others may write is their own there, so they leave nothing behind but in the
   * user's home.
   */
  enterNamespaces({ uid }: AttemptUser): void {
    const given = this.#given.get(uid);
    if (given !== undefined) given.isInside = true;
  }

  async #takeName(uid: number): Promise<Server | null> {
    return await takeName(uid, (one) => this.includes(one));
  }

  #give(uid: number, server: Server): AttemptUser {
    const user = { uid, home: join(this.#deps.dir, String(uid)) };
    this.#given.set(uid, { user, server, isInside: false });
    return user;
  }

  /** Whether this is the present holder of its number, which an earlier one may have had. */
  #isGiven(user: AttemptUser): boolean {
    return this.#given.get(user.uid)?.user === user;
  }

  /** Ends all processes of a user. @returns whether none is left */
  async end(user: AttemptUser, onKill?: (row: ProcessRow) => void): Promise<boolean> {
    return this.#isGiven(user) ? await killUser(user.uid, onKill) : true;
  }

  /**
   * Takes a user back. If something of it cannot be removed, it is not given out again. A second call does nothing. Never
   * rejects.
   */
  async release(user: AttemptUser): Promise<void> {
    if (!this.#isGiven(user)) return;
    const { uid, home } = user;
    try {
      if (!(await killUser(uid))) throw new Error("its processes cannot be killed");
      await removeUnfollowed(home);
      if (this.#given.get(uid)?.isInside !== true) {
        await removeLeftFiles(uid);
        await removeIpc(uid);
      }
      await this.#forget(user);
    } catch (error) {
      this.#deps.log.error(
        { uid, error: String(error) },
        "a user is not used again: something of it is left",
      );
    }
  }

  async #forget({ uid }: AttemptUser): Promise<void> {
    const given = this.#given.get(uid);
    this.#given.delete(uid);
    if (given !== undefined) await leaveName(given.server);
  }

  /** Takes back the users that no attempt has, and gives out no more. Those of running attempts stay with their processes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#making;
    await Promise.all(this.#ready.splice(0).map((user) => this.release(user)));
    await this.abandon();
  }

  /** Leaves all users to the processes that they have, like the kernel when this process is killed. */
  async abandon(): Promise<void> {
    this.#isClosed = true;
    await this.#making;
    await Promise.all([...this.#given.values()].map(({ server }) => leaveName(server)));
    this.#given.clear();
  }

  #refill(): void {
    if (this.#isClosed) return;
    this.#making = this.#making.then(async () => {
      try {
        while (this.#ready.length < READY && !this.#isClosed) this.#ready.push(await this.#make());
      } catch (error) {
        // The attempt that needs one tries again, and reports what is wrong.
        this.#deps.log.debug({ error: String(error) }, "no user could be made ready");
      }
    });
  }

  async #make(): Promise<AttemptUser> {
    const { first } = this.#deps.range;
    const busy = new Set<number>();
    for (let tried = 0; tried < this.#size; tried++) {
      const uid = first + 1 + this.#next;
      this.#next = (this.#next + 1) % this.#size;
      if (busy.has(uid) || this.#given.has(uid)) continue;
      const server = await this.#takeName(uid);
      if (server === null) continue;
      // An attempt of a worker that has ended may still have processes of this user.
      await processesOf((one) => this.includes(one) && Boolean(busy.add(one)));
      if (busy.has(uid)) {
        await leaveName(server);
        continue;
      }
      return await this.#furnish(this.#give(uid, server));
    }
    throw new NoUserFree(
      `All users of attempts are in use (${first + 1} to ${this.#deps.range.last}). Give the worker a larger range in "runAs".`,
    );
  }

  /** Makes the home of a user, which only that user may enter. */
  async #furnish(user: AttemptUser): Promise<AttemptUser> {
    try {
      await removeUnfollowed(user.home).catch(() => {});
      for (const dir of [user.home, temporaryFolder(user)]) {
        await mkdir(dir, { mode: 0o700 });
        await chown(dir, user.uid, user.uid);
      }
      return user;
    } catch (error) {
      await this.#forget(user);
      throw error;
    }
  }
}

/** Removes what a user left in the folders where everyone may write. Its user is no one else's at this time. */
async function removeLeftFiles(uid: number): Promise<void> {
  for (const folder of OPEN_FOLDERS)
    for (const name of await readdir(folder).catch(() => [])) {
      const path = join(folder, name);
      const owner = await lstat(path).then(
        (found) => found.uid,
        () => null,
      );
      if (owner === uid) await removeUnfollowed(path);
    }
}
