import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { bundleModules } from "./bundle.ts";

const FILES = {
  "package.json": '{ "type": "module" }',
  "flow.ts": [
    'import "opens-itself";',
    'import { isFast } from "can-do-without";',
    "export const fast: boolean = isFast;",
  ].join("\n"),
  "node_modules/opens-itself/package.json":
    '{ "name": "opens-itself", "main": "i.js", "dependencies": { "bindings": "1.5.0" } }',
  "node_modules/opens-itself/i.js": "module.exports = 1;",
  "node_modules/can-do-without/package.json": '{ "name": "can-do-without", "main": "i.js" }',
  "node_modules/can-do-without/i.js":
    'let fast = true;\ntry { require("@addons/linux"); require("./build/x.node"); } catch { fast = false; }\nexports.isFast = fast;',
  "node_modules/@addons/linux/package.json": '{ "name": "@addons/linux", "main": "x.node" }',
  "node_modules/@addons/linux/x.node": "\u0000native",
};

test("packages with native code are named, and a package with a fallback still works", async () => {
  await using project = await folderWith(FILES);
  const { files, natives } = await bundleModules(project.root, ["flow.ts"]);
  expect(natives).toEqual(["./build/x.node", "@addons/linux", "opens-itself"]);
  await using elsewhere = await folderWith({ "package.json": '{ "type": "module" }' });
  for (const { path, bytes } of files) await writeFile(join(elsewhere.root, path), bytes);
  expect(await import(join(elsewhere.root, "flow.js"))).toMatchObject({ fast: false });
});

test("flows are ES modules by their file extension if the manifest says CommonJS or nothing", async () => {
  for (const manifest of ["{}", '{ "type": "commonjs" }']) {
    await using project = await folderWith({ "package.json": manifest, "flow.ts": "export const one = 1;" });
    const { files, modules } = await bundleModules(project.root, ["flow.ts"]);
    expect(modules.get("flow.ts")).toBe("flow.mjs");
    expect(files.map(({ path }) => path).sort()).toEqual(["flow.mjs", "flow.mjs.map"]);
  }
});
