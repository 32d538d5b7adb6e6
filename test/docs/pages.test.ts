import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startProcess, startStack } from "../harness/index.ts";
import { pageBlocks, writeTitled } from "./page-files.ts";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function weatherProject(): Promise<string> {
  const home = await stack.project({ "readings.json": JSON.stringify([{ station: "Oslo", celsius: 4 }]) });
  for (const block of pageBlocks("README.md")) await writeTitled({ home, block });
  return home;
}

test("The README's flow runs with plain node", async () => {
  const home = await weatherProject();
  await using run = startProcess({
    command: process.execPath,
    args: ["weather.ts", "path=readings.json"],
    cwd: home,
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
  });
  expect(await run.exited, run.output()).toBe(0);
  expect(run.output()).toContain("1 stations reported");
  expect(run.output()).toContain("Oslo");
});

test("Code kept in git, as the page describes, is pushed, fetched by its commit, and run", async () => {
  const bare = join(stack.folder, "flows.git");
  await mkdir(bare);
  execFileSync("git", ["init", "--quiet", "--bare", "--initial-branch=main", bare]);
  const home = await weatherProject();
  await mkdir(join(home, "flows"));
  await writeFile(join(home, "flows/weather.ts"), 'export { weather } from "../weather.ts";\n');
  const replace = { "https://git.internal/data/flows.git": `file://${bare}`, warehouse: "local" };
  for (const block of pageBlocks("docs/how-to/code-in-git.md")) await writeTitled({ home, block, replace });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
  const branches = execFileSync("git", ["-C", bare, "branch", "--list", "--format=%(refname:short)"], {
    encoding: "utf8",
  });
  expect(branches).toContain("towpath/weather");

  await using worker = await stack.startWorker({
    settings: { registries: { code: { kind: "git", url: `file://${bare}` } } },
  });
  const run = await stack.waitForRun(await stack.run("weather", { path: join(home, "readings.json") }));
  expect(run, worker.output()).toMatchObject({ state: "completed" });
});
