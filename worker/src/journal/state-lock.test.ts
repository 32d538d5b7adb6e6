import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { identifyProcess } from "@towpath/contract/process";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { lockStateDir } from "./state-lock.ts";

const HOLDER = fileURLToPath(new URL("./lock-holder.fixture.ts", import.meta.url));
const children: ChildProcess[] = [];
let root: string;
let made = 0;
const freshDir = () => join(root, `state-${made++}`);
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-lock-"));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Starts a process that wants the directory. Resolves with its result. */
async function startHolder(dir: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, [HOLDER, dir], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout })) return { child, said: line };
  throw new Error("the process ended without a word");
}

test("a second process is refused with the first one's pid, and gets the directory once it is free", {
  timeout: 60_000,
}, async () => {
  const dir = freshDir();
  const first = await startHolder(dir);
  expect(first.said).toBe("locked");
  expect((await startHolder(dir)).said).toBe(`refused ${first.child.pid}`);
  await expect(lockStateDir(dir)).rejects.toMatchObject({
    code: "state-locked",
    holderPid: first.child.pid,
    message: expect.stringContaining(`process ${first.child.pid}`),
  });
  const exited = once(first.child, "exit");
  first.child.stdin?.end();
  await exited;
  expect((await startHolder(dir)).said).toBe("locked");
});

test("the lock of a killed process is free at once", { timeout: 60_000 }, async () => {
  const dir = freshDir();
  const { child } = await startHolder(dir);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
  const lock = await lockStateDir(dir);
  await lock.release();
});

test("a holder's name that was left behind does not count, even if its pid belongs to a living process", async () => {
  const dir = freshDir();
  await (await lockStateDir(dir)).release();
  const self = await identifyProcess(process.pid);
  await writeFile(join(dir, "holder.json"), JSON.stringify({ pid: self?.pid, start: "another start" }));
  await (await lockStateDir(dir)).release();
  await writeFile(join(dir, "holder.json"), "{torn");
  await (await lockStateDir(dir)).release();
});

test("when many processes start at once, exactly one gets the directory and the others learn its pid", {
  timeout: 120_000,
}, async () => {
  for (let round = 0; round < 3; round += 1) {
    const dir = freshDir();
    const holders = await Promise.all(Array.from({ length: 6 }, () => startHolder(dir)));
    const winners = holders.filter(({ said }) => said === "locked");
    expect(winners).toHaveLength(1);
    const losers = holders.filter(({ said }) => said !== "locked");
    expect(new Set(losers.map(({ said }) => said))).toEqual(new Set([`refused ${winners[0]?.child.pid}`]));
    for (const { child } of holders) child.kill("SIGKILL");
  }
});

test("one process cannot take a directory twice, and releasing twice is harmless", async () => {
  const dir = freshDir();
  const lock = await lockStateDir(dir);
  expect((await stat(dir)).mode & 0o777).toBe(0o700);
  await expect(lockStateDir(dir)).rejects.toMatchObject({ code: "state-locked", holderPid: process.pid });
  await lock.release();
  await lock.release();
  await (await lockStateDir(dir)).release();
});

test("a directory that cannot be made is a typed error", async () => {
  const file = join(root, "a-file");
  await writeFile(file, "");
  await expect(lockStateDir(join(file, "state"))).rejects.toMatchObject({ code: "unwritable" });
});
