import { mkdir, mkdtempDisposable, readdir, rename, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { openBucket } from "./bucket.fixture.ts";
import { markOf } from "./mark.ts";

const folder = () => mkdtempDisposable(join(tmpdir(), "twp-mark-"));
const at = (path: string) => ({ root: pathToFileURL(path).href });

test("workers that reach one folder at the same time read the same id, and leave nothing else there", async () => {
  await using home = await folder();
  const root = join(home.path, "store");
  const marks = await Promise.all(Array.from({ length: 8 }, () => markOf(at(root))));
  expect(new Set(marks.map((mark) => mark?.id)).size).toBe(1);
  expect(marks[0]?.id).toMatch(/^[0-9a-f-]{36}$/);
  expect(await readdir(root)).toEqual(["towpath-store.json"]);
});

test("another folder is another store, and the same folder under another path has another place", async () => {
  await using home = await folder();
  const [one, other, link] = ["one", "other", "link"].map((name) => join(home.path, name)) as [
    string,
    string,
    string,
  ];
  await symlink(one, link);
  const first = await markOf(at(one));
  expect((await markOf(at(other)))?.id).not.toBe(first?.id);
  const through = await markOf(at(link));
  expect(through?.id).toBe(first?.id);
  expect(through?.place).not.toBe(first?.place);
});

test("a store that cannot be reached has none, and its id is there again when it is", async () => {
  await using home = await folder();
  const [root, away] = [join(home.path, "store"), join(home.path, "away")];
  const before = await markOf(at(root));
  await rename(root, away);
  await mkdir(join(root, "towpath-store.json"), { recursive: true });
  expect(await markOf(at(root))).toBeNull();
  await rename(root, join(home.path, "other"));
  await rename(away, root);
  expect(await markOf(at(root))).toEqual(before);
});

test("in a bucket the mark is below the prefix, written only by the first", async () => {
  const bucket = await openBucket();
  const { store, objects, writes } = bucket;
  const [one, other] = await Promise.all([markOf(store), markOf(store)]);
  expect(one).not.toBeNull();
  expect(other).toEqual(one);
  expect([...objects.keys()]).toEqual(["/values/of%20flows/towpath-store.json"]);
  const writesBefore = writes.length;
  expect(await markOf(store)).toEqual(one);
  expect(writes).toHaveLength(writesBefore);
  await bucket[Symbol.asyncDispose]();
  expect(await markOf(store)).toBeNull();
});
