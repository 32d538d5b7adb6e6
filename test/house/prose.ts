import { TextlintKernel } from "@textlint/kernel";
import { parse } from "@textlint/markdown-to-ast";
import { SentenceSplitterSyntax, split } from "sentence-splitter";
import { projectFiles, type SourceFile } from "./rules.ts";
import { ALLOWED, PATTERNS } from "./words.ts";

/** The most words a sentence of a page may have. */
export const SENTENCE_WORDS_LIMIT = 38;

type Options = Parameters<TextlintKernel["lintText"]>[1];
type Rule = NonNullable<Options["rules"]>[number]["rule"];
type Plugin = NonNullable<Options["plugins"]>[number]["plugin"];

/** One group for each pattern: the group that matched tells which advice to give. */
const ANY_PATTERN = new RegExp(
  PATTERNS.map(([pattern]) => `(\\b(?:${pattern.replaceAll(" ", "\\s+")})\\b)`).join("|"),
  "gi",
);

const isAllowed = (path: string, found: string) =>
  ALLOWED.some((one) => one.path.test(path) && one.text.test(found));

/** Reports each retired word or pattern with what to write instead. */
const words: Rule = (context) => ({
  [context.Syntax.Str](node) {
    for (const match of context.getSource(node).matchAll(ANY_PATTERN)) {
      const [found, ...groups] = match;
      if (isAllowed(context.getFilePath() ?? "", found)) continue;
      const [, use] = PATTERNS[groups.indexOf(found)] ?? [];
      const message = `"${found.replace(/\s+/g, " ")}": write ${use}`;
      context.report(node, new context.RuleError(message, { index: match.index }));
    }
  },
});

/** Reports sentences that are too long to be understood at the first reading. */
const sentences: Rule = (context) => ({
  [context.Syntax.Paragraph](node) {
    for (const sentence of split(context.getSource(node))) {
      if (sentence.type !== SentenceSplitterSyntax.Sentence) continue;
      const count = sentence.raw.split(/\s+/).filter((word) => /\w/.test(word)).length;
      if (count <= SENTENCE_WORDS_LIMIT) continue;
      const message = `a sentence of ${count} words: make two of it, ${SENTENCE_WORDS_LIMIT} are the limit`;
      context.report(node, new context.RuleError(message, { index: sentence.range[0] }));
    }
  },
});

/** Source code as prose, line by line: identifiers are split into their words, and comments lose their marks. */
function readCode(source: string) {
  const text = source
    .replace(/^([ \t]*)(\/\*\*?|\*|\/\/)/gm, "$1")
    .replace(/([a-z\d])(?=[A-Z])/g, "$1 ")
    .replaceAll("_", " ");
  const lines = text.split("\n");
  const end = { line: lines.length, column: lines.at(-1)?.length ?? 0 };
  const whole = { raw: text, range: [0, text.length] as const, loc: { start: { line: 1, column: 0 }, end } };
  return { text, ast: { ...whole, type: "Document", children: [{ ...whole, type: "Str", value: text }] } };
}

const reader = {
  Processor: class {
    availableExtensions(): string[] {
      return [".md", ".ts"];
    }
    processor(extension: string) {
      return {
        preProcess: extension === ".md" ? parse : readCode,
        postProcess: (messages: unknown[], filePath = "") => ({ messages, filePath }),
      };
    }
  },
} as unknown as Plugin;

const kernel = new TextlintKernel();

/** What breaks the rules of prose in one file, as `path:line: what to write instead`. */
export async function judgeProse({ path, text }: SourceFile): Promise<string[]> {
  const page = path.endsWith(".md");
  const { messages } = await kernel.lintText(page ? text : `${text}\n${path}`, {
    ext: page ? ".md" : ".ts",
    filePath: path,
    plugins: [{ pluginId: "reader", plugin: reader }],
    rules: [{ ruleId: "words", rule: words }, ...(page ? [{ ruleId: "sentences", rule: sentences }] : [])],
  });
  return messages.map(({ loc, message }) => `${path}:${loc.start.line}: ${message}`);
}

const COVERED = /\.(ts|tsx|mjs|md)$/;
/** The lists themselves, and their tests. */
const EXEMPT = /^test\/house\//;

/** What breaks the rules of prose in these files. */
export async function judgeAllProse(files: readonly SourceFile[]): Promise<string[]> {
  const covered = files.filter(({ path }) => COVERED.test(path) && !EXEMPT.test(path));
  return (await Promise.all(covered.map(judgeProse))).flat();
}

if (import.meta.main) {
  const faults = await judgeAllProse(projectFiles());
  for (const fault of faults) console.log(fault);
  process.exit(faults.length === 0 ? 0 : 1);
}
