import { expect, test } from "vitest";
import { judgeAllProse, judgeProse, SENTENCE_WORDS_LIMIT } from "./prose.ts";
import { projectFiles } from "./rules.ts";

test("code, messages and pages have no retired word and no phrase that is read twice", async () => {
  expect(await judgeAllProse(projectFiles())).toEqual([]);
});

const LONG = `${"word ".repeat(SENTENCE_WORDS_LIMIT)}end.`;

test.each([
  [
    "an identifier",
    "worker/src/a.ts",
    "const x = 1;\nconst freeBerths = 2;",
    ["a.ts:2", '"Berths"', "capacity"],
  ],
  ["a constant", "worker/src/a.ts", "export const BERTH_LIMIT = 2;", ["a.ts:1", "capacity"]],
  [
    "a comment over two lines",
    "worker/src/a.ts",
    "/**\n * It is that\n * which waits.\n */",
    ["a.ts:2", "noun"],
  ],
  ["a message", "sdk/cli/src/a.tsx", "<p>Whoever waits</p>", ['"Whoever"', "noun"]],
  [
    "a type named after a verb",
    "sdk/cli/src/a.ts",
    "interface WorkerTold {",
    ["noun that the type describes"],
  ],
  ["a file's name", "worker/src/turnstile.ts", "", ["semaphore"]],
  ["a page", "docs/a.md", "# A page\n\nIt waits for ever.\n", ["a.md:3", "without a limit"]],
  ["a table", "docs/a.md", "| a | b |\n| --- | --- |\n| one | so let it |\n", ["a.md:3", "verb alone"]],
  ["a long sentence", "docs/a.md", `# A page\n\nShort. ${LONG}\n`, ["a.md:3", "sentence of 39 words"]],
])("%s is reported with its line and what to write", async (_, path, text, parts) => {
  const [fault, ...more] = await judgeProse({ path, text });
  expect(more).toEqual([]);
  for (const part of parts) expect(fault).toContain(part);
});

test.each([
  ["worker/src/a.ts", 'const capacity = 1; socket.send("news", { news: changes }); body.news;'],
  ["worker/src/a.ts", `// ${LONG}`],
  ["docs/a.md", "The event `news` stays.\n\n```sh\nring bell\n```\n"],
  ["services/control/src/runs/table.ts", 'boolean("tied")'],
])("%s may say %s", async (path, text) => {
  expect(await judgeProse({ path, text })).toEqual([]);
});
