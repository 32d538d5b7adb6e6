import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { bundleModules } from "./bundle.ts";

const run = promisify(execFile);

const SHARED = `
import { log, task } from "towpath";
export const sum = task({ name: "sum", thread: true }, async (count: number) => {
  log.info("summing");
  let sum = 0;
  for (let one = 0; one < count; one++) sum += one;
  return sum;
});
export const spin = task({ name: "spin", timeoutMs: 200, timeoutGraceMs: 100 }, async () => {
  let turns = 1;
  while (turns > 0) turns = (turns % 1000) + 1;
});
`;
const flowOf = (body: string) => `
import { flow } from "towpath";
import { spin, sum } from "./shared.ts";
console.log("imported");
export const made = flow({ name: "made" }, async () => ${body});
await made.runIfMain(import.meta);
`;

/** Bundles two flows that share a module, so that their tasks lie in a chunk, and runs one of them from the bundle alone. */
async function runBundled(name: string) {
  const sources = {
    "shared.ts": SHARED,
    "sums.ts": flowOf("await sum(1000)"),
    "spins.ts": flowOf("await spin()"),
  };
  await using project = await folderWith({ ...sources, "package.json": '{ "type": "module" }' });
  await using folder = await folderWith({ "package.json": '{ "type": "module" }' });
  for (const { path, bytes } of (await bundleModules(project.root, ["sums.ts", "spins.ts"])).files) {
    await mkdir(dirname(join(folder.root, path)), { recursive: true });
    await writeFile(join(folder.root, path), bytes);
  }
  const argv = ["--enable-source-maps", join(folder.root, name)];
  return await run(process.execPath, argv, { cwd: folder.root }).catch((failure: unknown) => failure);
}

test("a task of a bundle runs in a thread, which does not run the flow again", async () => {
  const { stdout } = (await runBundled("sums.js")) as { stdout: string };
  expect(stdout).toMatch(/summing \(sum\)[\s\S]*made completed[\s\S]*499500/);
  expect(stdout.match(/▸ made/g)).toHaveLength(1);
});

test("a blocked task of a bundle is killed, and the error names its position in the source", async () => {
  const failure = (await runBundled("spins.js")) as { signal: string; stderr: string };
  expect(failure.signal).toBe("SIGKILL");
  expect(failure.stderr).toMatch(/TaskTimeout: Task "spin" blocked[\s\S]*at .*shared\.ts:1\d/);
});
