import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Block, blocksOf, wordOf } from "./blocks.ts";

/** The fenced blocks of one of the repository's Markdown pages. */
export function pageBlocks(path: string): Block[] {
  return blocksOf(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8"));
}

/** Writes a block that has a title into a project, with some of its text replaced for the test's own places. */
export async function writeTitled(a: {
  home: string;
  block: Block;
  replace?: Readonly<Record<string, string>>;
}): Promise<void> {
  const title = wordOf(a.block, "title");
  if (title === undefined) return;
  let { text } = a.block;
  for (const [from, to] of Object.entries(a.replace ?? {})) text = text.replaceAll(from, to);
  await mkdir(dirname(join(a.home, title)), { recursive: true });
  await writeFile(join(a.home, title), text);
}
