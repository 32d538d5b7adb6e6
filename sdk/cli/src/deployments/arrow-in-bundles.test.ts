import { execFile } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { bundleModules } from "./bundle.ts";

const MODULES = resolve(import.meta.dirname, "../../../../node_modules");

const TABLES = `
import { Table, tableFromArrays } from "apache-arrow";
import { ctx, flow } from "towpath";
export const tables = flow({ name: "tables" }, async () => {
  const ref = await ctx.save("rows", tableFromArrays({ id: [1, 2, 3] }));
  const loaded = await ctx.load(ref);
  return [ref.codec, loaded instanceof Table, loaded.numRows];
});
await tables.runIfMain(import.meta);
`;
const PLAIN = `
import { flow } from "towpath";
export const plain = flow({ name: "plain" }, async () => 1);
`;

async function bundled(sources: Readonly<Record<string, string>>) {
  await using project = await folderWith({ ...sources, "package.json": '{ "type": "module" }' });
  await symlink(MODULES, join(project.root, "node_modules"));
  return (await bundleModules(project.root, Object.keys(sources))).files;
}

test("a flow that imports apache-arrow stores its tables in a bundle, far from the package", async () => {
  const files = await bundled({ "tables.ts": TABLES });
  await using folder = await folderWith({ "package.json": '{ "type": "module" }' });
  for (const { path, bytes } of files) {
    await mkdir(dirname(join(folder.root, path)), { recursive: true });
    await writeFile(join(folder.root, path), bytes);
  }
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder.root, "tables.js")], {
    cwd: folder.root,
  });
  expect(stdout.replace(/\s+/g, "")).toContain("['typed',true,3]");
});

test("the bundle is the same in any folder, and other flows do not load the package", async () => {
  const [one, other] = [await bundled({ "tables.ts": TABLES }), await bundled({ "tables.ts": TABLES })];
  expect(other).toEqual(one);
  const text = (await bundled({ "plain.ts": PLAIN })).map(({ bytes }) => Buffer.from(bytes).toString());
  expect(text.join("\n")).not.toMatch(/class RecordBatchWriter/);
});
