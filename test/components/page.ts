import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blocksOf, wordOf } from "../docs/blocks.ts";

interface Page extends AsyncDisposable {
  /** A folder with the page's files. */
  readonly folder: string;
  /** The commands of the blocks that this page's test runs, as words without `python3`. */
  readonly commands: readonly string[][];
  /** The text of the block with this title. */
  readonly titled: (title: string) => string;
}

/**
 * The files and commands of a how-to page, in a folder of their own.
 * @param page Its path, `docs/how-to/mlflow.md`.
 * @param run The word of its shell blocks: `run=mlflow`.
 */
export async function pageFolder(page: string, run: string): Promise<Page> {
  const url = new URL(`../../${page}`, import.meta.url);
  const blocks = blocksOf(readFileSync(url, "utf8"));
  const folder = await mkdtemp(join(tmpdir(), "towpath-page-"));
  const titled = (title: string) => blocks.find((block) => wordOf(block, "title") === title)?.text ?? "";
  const titles = blocks.flatMap((block) => wordOf(block, "title") ?? []);
  for (const title of titles.filter((one) => one.includes(".")))
    await writeFile(join(folder, title), titled(title));
  const lines = blocks
    .filter((block) => wordOf(block, "run") === run)
    .flatMap(({ text }) => text.trim().split("\n"));
  return {
    folder,
    commands: lines.map((line) => line.split(" ").slice(1)),
    titled,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
