import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { blocksOf, wordOf } from "../docs/blocks.ts";
import { type Stack, startProcess, startStack } from "../harness/index.ts";
import { addEnvironment, hasPython, PYTHON_SDK } from "./interpreters.ts";

const PAGE = new URL("../../docs/how-to/python-flows.md", import.meta.url);
const env = { ...process.env, PYTHONPATH: PYTHON_SDK, PYTHONDONTWRITEBYTECODE: "1" };

const blocks = blocksOf(readFileSync(PAGE, "utf8"));

/** The page's code blocks that name a file. */
function filesOfPage(): Record<string, string> {
  return Object.fromEntries(
    blocks.flatMap((block) => {
      const path = wordOf(block, "title");
      return path === undefined ? [] : [[path, block.text]];
    }),
  );
}

let stack: Stack;
let home: string;

describe.skipIf(!hasPython)("the how-to on flows in Python", () => {
  beforeAll(async () => {
    stack = await startStack();
    const files = filesOfPage();
    const config = files["towpath_config.py"] ?? "";
    const registry = JSON.stringify(join(stack.folder, "registry"));
    home = await stack.project({
      ...files,
      "towpath_config.py": config.replace('".towpath/registry"', registry),
    });
    await addEnvironment(home);
    await writeFile(join(home, "numbers.txt"), "1\n2\n3\n");
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  test("its commands run on the reader's machine", async () => {
    const shell = blocks.filter((block) => wordOf(block, "run") === "python");
    expect(shell).toHaveLength(1);
    for (const { text } of shell) {
      await using ran = startProcess({ command: "/bin/sh", args: ["-ec", `cd "${home}"; ${text}`], env });
      await ran.waitFor(/completed in/);
      expect(await ran.exited).toBe(0);
    }
  });

  test("its unit test passes", async () => {
    const line = `cd "${home}"; python3 -m unittest test_train`;
    await using ran = startProcess({ command: "/bin/sh", args: ["-ec", line], env });
    expect(await ran.exited, ran.output()).toBe(0);
  });

  test("the deployed flow waits for the answer, and continues with it", async () => {
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    await stack.startWorker();
    const runId = await stack.run("train", { path: join(home, "numbers.txt") });
    const stateOf = async () => (await stack.client.getRun({ params: { runId } })).state;
    await expect.poll(stateOf, { timeout: 60_000 }).toBe("suspended");
    expect((await stack.towpath(["answer", runId, "yes"])).code).toBe(0);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 2 });
    const { items } = await stack.client.listTaskRuns({ params: { runId } });
    expect(items.filter(({ name }) => name === "score")).toHaveLength(3);
  });
});

/** Pages for people who know another tool, and what their flow prints. */
const COMPARISONS = {
  "docs/how-to/from-prefect.md": { words: ["region=north"], prints: "north: 10" },
  "docs/how-to/from-dagster.md": { words: [], prints: "the ledger has 2 rows" },
};

describe.skipIf(!hasPython)("a page for people who come from another tool", () => {
  test.each(Object.entries(COMPARISONS))("%s has a flow that runs", async (page, { words, prints }) => {
    const text = readFileSync(new URL(`../../${page}`, import.meta.url), "utf8");
    const block = blocksOf(text).find((one) => wordOf(one, "title")?.endsWith(".py"));
    const folder = await mkdtemp(join(tmpdir(), "towpath-page-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, "flow.py"), block?.text ?? "");
    await using ran = startProcess({ command: "python3", args: ["flow.py", ...words], cwd: folder, env });
    expect(await ran.exited, ran.output()).toBe(0);
    expect(ran.output()).toContain(prints);
  });
});
