import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtempDisposable,
  readdir,
  readFile,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { giveTree, removeUnfollowed } from "./own-tree.ts";

const isRoot = process.getuid?.() === 0 && process.platform === "linux";
const FLOW = 2_000_000_900;
const TO = { uid: 0, gid: 0, folderMode: 0o750, fileMode: 0o640 };

/** A folder of a flow, and a folder that the flow must not reach. */
async function ground() {
  const home = await mkdtempDisposable(join(tmpdir(), "twp-own-tree-"));
  const [own, protectedDir] = [join(home.path, "own"), join(home.path, "protected")];
  await mkdir(own);
  await mkdir(protectedDir, { mode: 0o755 });
  await writeFile(join(protectedDir, "kept"), "kept", { mode: 0o604 });
  return { home, own, protectedDir, kept: join(protectedDir, "kept") };
}

describe.skipIf(process.platform !== "linux")("a folder of a flow", () => {
  test("is removed with everything in it, and no link is followed", async () => {
    const { home, own, protectedDir, kept } = await ground();
    await using _ = home;
    await symlink(protectedDir, join(own, "to-folder"));
    await symlink(kept, join(own, "to-file"));
    await mkdir(join(own, "a", "b", "c"), { recursive: true });
    await writeFile(join(own, "a", "b", "c", "file"), "");
    await symlink(protectedDir, join(own, "a", "b", "to-folder"));
    await link(kept, join(own, "a", "hard"));
    await chmod(join(own, "a", "b"), 0o500);
    await removeUnfollowed(own);
    expect(await readdir(home.path)).toEqual(["protected"]);
    expect(await readFile(kept, "utf8")).toBe("kept");
  });

  test("is removed itself if it is a link", async () => {
    const { home, own, protectedDir, kept } = await ground();
    await using _ = home;
    await symlink(protectedDir, join(own, "link"));
    await removeUnfollowed(join(own, "link"));
    expect(await readdir(own)).toEqual([]);
    expect(await readFile(kept, "utf8")).toBe("kept");
    await removeUnfollowed(join(own, "missing"));
  });

  test("is removed at any depth with few open files", async () => {
    const { home, own } = await ground();
    await using _ = home;
    let deep = own;
    for (let depth = 0; depth < 500; depth++) {
      deep = join(deep, "d");
      await mkdir(deep);
    }
    await removeUnfollowed(own);
    expect(await readdir(home.path)).toEqual(["protected"]);
  });
});

describe.skipIf(!isRoot)("a folder that root takes from a flow", () => {
  test("changes its owner without a link being followed, and files of others in it stay theirs", async () => {
    const { home, own, protectedDir, kept } = await ground();
    await using _ = home;
    const { lchown } = await import("node:fs/promises");
    await mkdir(join(own, "sub"));
    await writeFile(join(own, "sub", "file"), "", { mode: 0o666 });
    await chmod(join(own, "sub", "file"), 0o4777);
    await symlink(protectedDir, join(own, "sub", "to-folder"));
    await symlink(kept, join(own, "to-file"));
    await link(kept, join(own, "hard"));
    for (const name of ["", "sub", "sub/file", "sub/to-folder", "to-file"])
      await lchown(join(own, name), FLOW, FLOW);
    const before = await lstat(kept);
    await giveTree(own, { from: (uid) => uid === FLOW, to: TO });
    const after = await lstat(kept);
    expect([after.uid, after.gid, after.mode]).toEqual([before.uid, before.gid, before.mode]);
    for (const name of ["", "sub", "sub/file", "sub/to-folder", "to-file"])
      expect((await lstat(join(own, name))).uid, name).toBe(0);
    expect((await lstat(join(own, "sub", "file"))).mode & 0o7777).toBe(0o640);
    expect((await lstat(join(own, "sub"))).mode & 0o7777).toBe(0o750);
    expect((await lstat(protectedDir)).mode & 0o777).toBe(0o755);
  });
});
