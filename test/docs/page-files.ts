import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Block, blocksOf, wordOf } from "./blocks.ts";

/** The fenced blocks of a Markdown page of the repository, or of its section with this title. */
export function pageBlocks(path: string, section?: string): Block[] {
  const page = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  if (section === undefined) return blocksOf(page);
  return blocksOf(page.split(/^## /m).find((part) => part.startsWith(`${section}\n`)) ?? "");
}

/** Writes a block with a title into a project, and replaces some of its text by the test's own paths. */
export async function writeTitled(args: {
  home: string;
  block: Block;
  replace?: Readonly<Record<string, string>>;
}): Promise<void> {
  const title = wordOf(args.block, "title");
  if (title === undefined) return;
  let { text } = args.block;
  for (const [from, to] of Object.entries(args.replace ?? {})) text = text.replaceAll(from, to);
  await mkdir(dirname(join(args.home, title)), { recursive: true });
  await writeFile(join(args.home, title), text);
}
