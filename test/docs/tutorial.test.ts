import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CliResult, type Stack, startProcess, startStack } from "../harness/index.ts";
import { wordOf } from "./blocks.ts";
import { pageBlocks, writeTitled } from "./page-files.ts";

const blocks = pageBlocks("docs/tutorial/first-flow.md");
let stack: Stack;
let home: string;

beforeAll(async () => {
  stack = await startStack();
  home = await stack.project({});
  await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

/** Runs one line of a tutorial's shell block, with the command-line interface of this tree. */
async function runLine(line: string): Promise<CliResult> {
  const [program = "", ...args] = line.split(" ");
  if (program === "npx" && args[0] === "towpath") return stack.towpath(args.slice(1), { cwd: home });
  if (program !== "node") throw new Error(`The tutorial's line cannot be run: ${line}`);
  await using script = startProcess({
    command: process.execPath,
    args,
    cwd: home,
    env: { PATH: process.env.PATH },
  });
  return { code: await script.exited, output: script.output() };
}

test("The first-flow tutorial does what it says, line by line", { timeout: 180_000 }, async () => {
  let last = "";
  for (const block of blocks) {
    // The worker of this test reads the registry of the test's own folder.
    const registry = `ociLayout(${JSON.stringify(join(stack.folder, "registry"))})`;
    await writeTitled({ home, block, replace: { 'ociLayout(".towpath/registry")': registry } });
    if (block.words.includes("run")) {
      for (const line of block.text.trim().split("\n")) {
        const { code, output } = await runLine(line);
        expect(code, `${line}\n${output}`).toBe(Number(wordOf(block, "exit") ?? 0));
        last = output;
      }
    }
    if (block.language === "text") expect(last).toContain(block.text.trim());
  }
});

test("The tutorial has files and lines to run", () => {
  expect(blocks.filter((block) => wordOf(block, "title")).length).toBeGreaterThan(1);
  expect(blocks.filter((block) => block.words.includes("run")).length).toBeGreaterThan(3);
});
