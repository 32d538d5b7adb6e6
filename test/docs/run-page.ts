import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { type CliResult, type Stack, startProcess } from "../harness/index.ts";
import { wordOf } from "./blocks.ts";
import { pageBlocks, writeTitled } from "./page-files.ts";

/** Splits a shell line into words. Quotes hold words together. */
export function wordsOf(line: string): string[] {
  const words = line.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g);
  return [...words].map(([word]) => word.replace(/"([^"]*)"|'([^']*)'/g, (_, one, other) => one ?? other));
}

async function runLine(line: string, options: { stack: Stack; home: string }): Promise<CliResult> {
  const [program = "", ...args] = wordsOf(line);
  if (program === "npx" && args[0] === "towpath")
    return options.stack.towpath(args.slice(1), { cwd: options.home });
  if (program === "towpath") return options.stack.towpath(args, { cwd: options.home });
  const command = { node: process.execPath, python: join(options.home, ".venv/bin/python") }[program];
  if (command === undefined) throw new Error(`The page's line cannot be run: ${line}`);
  const key = await readFile(join(options.stack.folder, "control/admin.key"), "utf8");
  const env = {
    PATH: process.env.PATH,
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
    PYTHONPYCACHEPREFIX: process.env.PYTHONPYCACHEPREFIX,
    TOWPATH_URL: options.stack.url,
    TOWPATH_KEY: key.trim(),
    TOWPATH_SIGNING_KEY_FILE: join(options.stack.folder, "keys/signing.jwk"),
  };
  await using script = startProcess({ command, args, cwd: options.home, env });
  return { code: await script.exited, output: script.output() };
}

/**
 * Follows a documentation page from top to bottom in a project folder: it writes blocks that have a `title`, runs the lines of blocks
 * marked `run` with this tree's CLI (`exit=1` if that is the expected code), and looks for the text of `text` blocks in the last
 * line's output. Output after shell lines that are not marked `run` is not checked here.
 * @returns How many files it wrote and lines it ran, so that a test sees that there were some.
 */
export async function runPage(
  path: string,
  args: { stack: Stack; home: string },
): Promise<{ files: number; lines: number }> {
  let [files, lines] = [0, 0];
  let last: string | null = "";
  for (const block of pageBlocks(path)) {
    // The test's worker reads the registry in the test's own folder.
    const registry = JSON.stringify(join(args.stack.folder, "registry"));
    if (wordOf(block, "title") !== undefined) files += 1;
    await writeTitled({ home: args.home, block, replace: { '".towpath/registry"': registry } });
    if (block.language === "sh") last = null;
    if (block.words.includes("run")) {
      for (const line of block.text.trim().split("\n")) {
        const { code, output } = await runLine(line, args);
        expect(code, `${line}\n${output}`).toBe(Number(wordOf(block, "exit") ?? 0));
        last = output;
        lines += 1;
      }
    }
    if (block.language === "text" && last !== null) expect(last).toContain(block.text.trim());
  }
  return { files, lines };
}
