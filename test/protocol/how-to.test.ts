import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blocksOf, wordOf } from "../docs/blocks.ts";
import { type Stack, startStack } from "../harness/index.ts";
import { hasPython } from "../python/interpreters.ts";

const PAGE = new URL("../../docs/how-to/commands-in-python.md", import.meta.url);
const CLIENT = new URL("../../sdk/examples/python/towpath_run.py", import.meta.url);

/** The page's code blocks that name a file. */
function filesOfPage(): Record<string, string> {
  const blocks = blocksOf(readFileSync(PAGE, "utf8"));
  return Object.fromEntries(
    blocks.flatMap((block) => {
      const path = wordOf(block, "title");
      return path === undefined ? [] : [[path, block.text]];
    }),
  );
}

let stack: Stack;

describe.skipIf(!hasPython)("the files of the how-to on commands in Python", () => {
  beforeAll(async () => {
    stack = await startStack();
    const files = filesOfPage();
    const config = files["towpath.config.ts"] ?? "";
    const registry = JSON.stringify(join(stack.folder, "registry"));
    const home = await stack.project({
      ...files,
      "python/towpath_run.py": await readFile(CLIENT, "utf8"),
      "towpath.config.ts": config.replace('".towpath/registry"', registry),
    });
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    await stack.startWorker();
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  test("do what the page says", async () => {
    const runId = await stack.run("score", { rounds: 3 });
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "completed", cause: null });
    const { items } = await stack.client.listArtifacts({ params: { runId } });
    expect(items.map(({ key, body }) => [key, body])).toEqual(
      expect.arrayContaining([
        ["rounds", { kind: "progress", done: 3, total: 3, unit: "rounds" }],
        [
          "scores",
          {
            kind: "table",
            columns: ["round", "score"],
            rows: [
              [1, 1],
              [2, 4],
              [3, 9],
            ],
          },
        ],
      ]),
    );
    expect(JSON.parse(await readFile(fileURLToPath(run.result?.uri ?? ""), "utf8"))).toEqual([1, 4, 9]);
  });
});
