import { chmod, cp, lstat, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { copyBinaries, findBinaries } from "./binaries.ts";
import {
  canEnter,
  canExecute,
  findUnprivilegedAccount,
  invocationFor,
  type RunAs,
  runProgram,
} from "./run-as.ts";

const self: RunAs = { kind: "self" };

test("programs do not inherit our environment", async () => {
  const { output } = await runProgram(self, { file: "/usr/bin/env", args: [] });
  expect(
    output
      .split("\n")
      .map((line) => line.split("=")[0])
      .sort(),
  ).toEqual(["LC_ALL", "PATH", "TZ"]);
});

test("a program that cannot be started is a result, not an exception", async () => {
  expect(await runProgram(self, { file: "/no/such/program", args: [] })).toMatchObject({ code: undefined });
});

test("unshare creates the namespace and then becomes the program", () => {
  const runAs: RunAs = { kind: "namespace", uid: 7, gid: 8 };
  expect(invocationFor(runAs, { file: "/bin/postgres", args: ["-D", "x"] })).toMatchObject({
    file: "unshare",
    args: ["--user", "--map-user=7", "--map-group=8", "--", "/bin/postgres", "-D", "x"],
  });
});

test.runIf(process.platform === "linux")(
  "binaries without their links run once they are copied",
  async () => {
    const scratch = await mkdtemp(join(tmpdir(), "towpath-links-"));
    const found = await findBinaries();
    const root = join(scratch, "as-packed");
    const isNoLink = async (path: string) => !(await lstat(path)).isSymbolicLink();
    await cp(found.root, root, { recursive: true, filter: isNoLink });
    expect(await canExecute(self, join(root, "bin", "postgres"))).toBe(false);
    const copied = await copyBinaries({ ...found, root }, scratch);
    expect(await canExecute(self, copied.postgres)).toBe(true);
    await rm(scratch, { recursive: true });
  },
);

test.runIf(process.getuid?.() === 0)(
  "binaries in a closed directory are copied to a readable one",
  async () => {
    const account = await findUnprivilegedAccount();
    const asAccount: RunAs = { kind: "account", ...(account ?? { uid: 65_534, gid: 65_534 }) };
    const closed = await mkdtemp(join(tmpdir(), "towpath-closed-"));
    const open = await mkdtemp(join(tmpdir(), "towpath-open-"));
    await chmod(open, 0o755);
    const hidden = await copyBinaries(await findBinaries(), closed);
    expect(await canEnter(asAccount, closed)).toBe(false);
    expect(await canExecute(asAccount, hidden.postgres)).toBe(false);
    const readable = await copyBinaries(hidden, open);
    expect(await canExecute(asAccount, readable.postgres)).toBe(true);
    await Promise.all([closed, open].map((dir) => rm(dir, { recursive: true })));
  },
);
