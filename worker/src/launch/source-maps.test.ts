import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";

const run = promisify(execFile);
const MAPS = new URL("./source-maps.ts", import.meta.url).href;
/** The first column of the second line came from line 7, column 3 of the source: base64 VLQ `AAAA;AAMEA` counts from 0. */
const MAP = { version: 3, sources: ["../src/flow.ts"], names: [], mappings: ";AAME" };
const MODULE = "// built\nexport function fail() { throw new RangeError('too far'); }\n";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "towpath-maps-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** The stack of the error that a module's `fail` throws, in a process that maps stacks. `before` runs after the import. */
async function stackOf(file: string, before = ""): Promise<string> {
  const script = `
    import { rmSync, writeFileSync } from "node:fs";
    const { mapStacks } = await import(${JSON.stringify(MAPS)});
    mapStacks();
    const { fail } = await import(${JSON.stringify(pathToFileURL(file).href)});
    ${before}
    try { fail(); } catch (error) { process.stdout.write(error.stack); }`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { cwd: dir });
  return stdout;
}

async function built(comment: string): Promise<string> {
  const file = join(dir, "flow.mjs");
  await writeFile(file, `${MODULE}${comment}\n`);
  return file;
}

test("a stack names the lines of the source, by the map beside the module", async () => {
  await writeFile(join(dir, "flow.mjs.map"), JSON.stringify(MAP));
  const stack = await stackOf(await built("//# sourceMappingURL=flow.mjs.map"));
  expect(stack.split("\n").slice(0, 2)).toEqual([
    "RangeError: too far",
    `    at fail (${join(dir, "../src/flow.ts")}:7:3)`,
  ]);
});

test("a map may be part of the module", async () => {
  const inline = Buffer.from(JSON.stringify(MAP)).toString("base64");
  const stack = await stackOf(await built(`//# sourceMappingURL=data:application/json;base64,${inline}`));
  expect(stack).toContain("src/flow.ts:7:3");
});

test("a map is read when a stack first needs it, and not before", async () => {
  const file = await built("//# sourceMappingURL=flow.mjs.map");
  const stack = await stackOf(file, `writeFileSync("flow.mjs.map", ${JSON.stringify(JSON.stringify(MAP))});`);
  expect(stack).toContain("src/flow.ts:7:3");
});

test.each([
  ["there is none", "", ""],
  ["it is not there", "//# sourceMappingURL=flow.mjs.map", ""],
  ["it is no map", "//# sourceMappingURL=flow.mjs.map", 'writeFileSync("flow.mjs.map", "{");'],
  ["it lies elsewhere", "//# sourceMappingURL=https://example.com/flow.mjs.map", ""],
  ["the module is gone", "//# sourceMappingURL=flow.mjs.map", 'rmSync("flow.mjs");'],
])("a stack stays as it is when %s", async (_, comment, before) => {
  const file = await built(comment);
  expect(await stackOf(file, before)).toMatch(/^RangeError: too far\n {4}at fail \(file:.*flow\.mjs:2:32\)/);
});
