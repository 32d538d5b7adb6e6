import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { rangeOf, runAsOf, usersNeeded } from "./run-as.ts";
import { idsOf } from "./shared-memory.ts";
import { processesOf } from "./user-processes.ts";
import { type AttemptUser, NoUserFree, temporaryFolder, Users } from "./users.ts";

const isRoot = process.getuid?.() === 0 && process.platform === "linux";
/** No other test uses these. */
const RANGE = {
  first: 1_990_000_000 + (process.pid % 100_000) * 10,
  last: 1_990_000_003 + (process.pid % 100_000) * 10,
};

let dir: string;
const opened: Users[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-users-"));
});
afterEach(async () => {
  for (const users of opened.splice(0)) await users.close();
  await rm(dir, { recursive: true, force: true });
});

async function open(name = "users", kept: readonly number[] = []): Promise<Users> {
  const users = new Users({ log: pino({ level: "silent" }), dir: join(dir, name), range: RANGE });
  opened.push(users);
  await users.restore(new Set(kept));
  return users;
}

/** A process of a user that ignores every signal but SIGKILL. */
async function startAs({ uid }: AttemptUser, first = "") {
  const script = `${first} process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); setImmediate(() => console.log('up'))`;
  const child = spawn(process.execPath, ["-e", script], { uid, gid: uid, cwd: "/", env: {}, detached: true });
  await once(child.stdout, "data");
  return child;
}

test.each([
  ["200000-200999", { first: 200_000, last: 200_999 }],
  ["0-100", null],
  ["9999-20000", null],
  ["200000-200000", null],
  ["300000-200000", null],
  ["200000-4294967295", null],
  ["200000", null],
  ["", null],
  ["-5-100000", null],
])("the range %j is read", (text, range) => {
  expect(rangeOf(text)).toEqual(range);
});

test("the setting says what attempts run as", () => {
  expect(runAsOf(false).wanted).toBe("none");
  expect(runAsOf("worker").wanted).toBe("none");
  expect(runAsOf("auto").wanted).toBe("auto");
  expect(runAsOf({ uids: "200000-200999" })).toEqual({
    wanted: "users",
    range: { first: 200_000, last: 200_999 },
  });
  expect(usersNeeded({ capacity: 4, warm: 1, loadAhead: 2 })).toBe(15);
});

test("shared memory of a user is found by its owner and by its creator", () => {
  const table = "key shmid perms uid gid cuid cgid\n 1 7 600 5 5 0 0\n 2 8 600 0 0 5 5\n 3 9 600 0 0 0 0\n";
  expect(idsOf(table, { id: "shmid", uid: 5 })).toEqual(["7", "8"]);
  expect(idsOf("", { id: "shmid", uid: 5 })).toEqual([]);
});

describe.skipIf(!isRoot)("users of attempts", () => {
  test("have a home that only they may enter, and are different", async () => {
    const users = await open();
    const [one, other] = [await users.take(), await users.take()];
    expect(one.uid).not.toBe(other.uid);
    for (const user of [one, other])
      for (const folder of [user.home, temporaryFolder(user)]) {
        const { uid, gid, mode } = await stat(folder);
        expect([uid, gid, mode & 0o777]).toEqual([user.uid, user.uid, 0o700]);
      }
  });

  test("are not given out while a process of them runs, and that process ends when they are given back", async () => {
    const users = await open();
    const user = await users.take();
    const child = await startAs(user);
    await writeFile(join(user.home, "file"), "");
    await users.release(user);
    expect(await processesOf((uid) => uid === user.uid)).toEqual([]);
    expect(child.signalCode ?? (await once(child, "exit"))[1]).toBe("SIGKILL");
    expect(existsSync(user.home)).toBe(false);
  });

  test("are one worker's at a time", async () => {
    const [one, other] = [await open("one"), await open("other")];
    const taken: number[] = [];
    const all = async (users: Users) => {
      for (;;) taken.push((await users.take()).uid);
    };
    await expect(all(one)).rejects.toThrow(NoUserFree);
    await expect(all(other)).rejects.toThrow(NoUserFree);
    expect(taken.length).toBe(3);
    expect(new Set(taken).size).toBe(3);
  });

  test("of a worker that was killed are kept for its attempts, and the others are taken back", async () => {
    const before = await open();
    const [kept, stray] = [await before.take(), await before.take()];
    const [running, left] = [await startAs(kept), await startAs(stray)];
    // As the kernel does when the worker is killed: its sockets close, and its processes go on.
    await before.abandon();
    const users = await open("users", [kept.uid]);
    expect(await processesOf((uid) => uid === stray.uid)).toEqual([]);
    expect(await processesOf((uid) => uid === kept.uid)).toEqual([running.pid]);
    expect(left.signalCode ?? (await once(left, "exit"))[1]).toBe("SIGKILL");
    const again = users.kept(kept.uid);
    expect(again?.home).toBe(kept.home);
    if (again) await users.release(again);
    expect(await readdir(join(dir, "users"))).not.toContain(String(kept.uid));
  });

  test("are not taken by another worker while a process of a dead worker has them", async () => {
    const dead = await open("dead");
    const user = await dead.take();
    const child = await startAs(user);
    await dead.abandon();
    const users = await open("alive");
    const taken = [await users.take(), await users.take()].map(({ uid }) => uid);
    expect(taken).not.toContain(user.uid);
    await expect(users.take()).rejects.toThrow(NoUserFree);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect((await users.take()).uid).toBe(user.uid);
  });

  test("are given out although a process of an attempt listens at their names, and that process is killed", async () => {
    const before = await open();
    const [kept, other] = [await before.take(), await before.take()];
    await before.close();
    const script = String.raw`for (let uid = ${RANGE.first}; uid <= ${RANGE.last}; uid++) require("node:net").createServer().listen("\0towpath-user-" + uid);`;
    const holder = await startAs(other, script);
    const users = await open("users", [kept.uid]);
    expect(holder.signalCode ?? (await once(holder, "exit"))[1]).toBe("SIGKILL");
    expect(users.kept(kept.uid)?.uid).toBe(kept.uid);
    expect(await users.take()).not.toEqual(await users.take());
  });

  test("that an attempt had before cannot be given back for it", async () => {
    const users = await open();
    const first = await users.take();
    await users.release(first);
    const next: AttemptUser[] = [await users.take(), await users.take(), await users.take()];
    const again = next.find(({ uid }) => uid === first.uid);
    expect(again).toBeDefined();
    await users.release(first);
    expect(existsSync(again?.home ?? "")).toBe(true);
  });
});
