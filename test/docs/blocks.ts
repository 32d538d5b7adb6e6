/** A fenced block of a Markdown page. */
export interface Block {
  readonly language: string;
  /** Words after the language: `run`, `exit=1`, `title=flows/a.ts`. */
  readonly words: readonly string[];
  readonly text: string;
}

/** The fenced blocks of a page, in order. */
export function blocksOf(markdown: string): Block[] {
  const fences = markdown.matchAll(/^```(\w+)([^\n]*)\n([\s\S]*?)^```$/gm);
  return [...fences].map(([, language = "", words = "", text = ""]) => ({
    language,
    words: words.trim().split(/\s+/).filter(Boolean),
    text,
  }));
}

/** The value of `name=value` among a block's words. */
export function wordOf(block: Block, name: string): string | undefined {
  const found = block.words.find((word) => word.startsWith(`${name}=`));
  return found?.slice(name.length + 1);
}
