import { execFileSync } from "node:child_process";
import { lstat, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { letRead } from "./user-folder.ts";

const UID = 2_000_000_500;
const isRoot = process.platform === "linux" && process.getuid?.() === 0;
if (!isRoot) console.warn("SKIPPED: only root on Linux gives files to other users.");

test.skipIf(!isRoot)(
  "a file is given to the group of a user, and a pipe or link of its name harms nobody",
  async () => {
    const dir = await mkdtemp(join(tmpdir(), "towpath-user-folder-"));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const [file, pipe, link] = ["file", "pipe", "link"].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(file, "token", { mode: 0o600 });
    await letRead(file, { uid: UID });
    expect(await lstat(file)).toMatchObject({ uid: 0, gid: UID, mode: 0o100_640 });
    // An open of a pipe without a writer would block the worker.
    execFileSync("mkfifo", [pipe]);
    await letRead(pipe, { uid: UID });
    await symlink(file, link);
    await expect(letRead(link, { uid: UID })).rejects.toMatchObject({ code: "ELOOP" });
  },
);
