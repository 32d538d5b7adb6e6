import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { VERSION } from "../version.ts";
import { originFor } from "./own-origin.ts";

const BUNDLED = "node_modules/towpath/dist/cli";
const lock = (resolved: string) => JSON.stringify({ packages: { "node_modules/towpath": { resolved } } });

test("a command that was installed from a file gives new projects that file", async () => {
  await using folder = await folderWith({
    "mine/node_modules/.package-lock.json": lock("file:../t/towpath.tgz"),
  });
  const origin = await originFor(join(folder.root, "mine", "new"), join(folder.root, "mine", BUNDLED));
  expect(origin).toEqual({ specifier: "file:../../t/towpath.tgz", before: null });
});

test("a command from a registry or an unknown source gives new projects its release", async () => {
  const release = { specifier: `^${VERSION}`, before: null };
  await using folder = await folderWith({
    "mine/node_modules/.package-lock.json": lock("https://registry.example/towpath.tgz"),
  });
  for (const project of ["mine", "other"])
    expect(await originFor(folder.root, join(folder.root, project, BUNDLED))).toEqual(release);
});

test("a command in its repository gives new projects the packed file, and explains how to pack it first", async () => {
  await using folder = await folderWith({ "repo/infra/package/pack.ts": "", "repo/sdk/cli/src/main.ts": "" });
  const specifier = `file:../repo/dist/towpath-${VERSION}.tgz`;
  const place = join(folder.root, "repo/sdk/cli/src");
  expect(await originFor(join(folder.root, "new"), place)).toEqual({
    specifier,
    before: `npm run pack --prefix ${join(folder.root, "repo")}`,
  });
  await using packed = await folderWith({
    "repo/infra/package/pack.ts": "",
    [`repo/dist/towpath-${VERSION}.tgz`]: "",
  });
  expect(await originFor(join(packed.root, "new"), join(packed.root, "repo/sdk/cli/src"))).toEqual({
    specifier,
    before: null,
  });
});
