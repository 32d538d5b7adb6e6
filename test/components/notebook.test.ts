import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { blocksOf, wordOf } from "../docs/blocks.ts";
import { runWith, venvWith } from "./venv.ts";

const TESTS = fileURLToPath(new URL("notebook_test.py", import.meta.url));
const PAGE = new URL("../../docs/how-to/notebooks.md", import.meta.url);
const PACKAGES = ["ipykernel", "nbclient", "nbformat"];

const codeCell = (id: string, source: string, tags: readonly string[] = []) => ({
  cell_type: "code",
  id,
  metadata: { tags },
  source,
  outputs: [],
  execution_count: null,
});

describe("notebooks as flows", () => {
  test("run in a real kernel", { timeout: 1_200_000 }, async () => {
    const { code, output } = await runWith(await venvWith(PACKAGES), ["-B", TESTS]);
    expect(output).toContain("OK");
    expect(code).toBe(0);
  });

  test("the how-to runs", { timeout: 1_200_000 }, async () => {
    const python = await venvWith(PACKAGES);
    const blocks = blocksOf(readFileSync(PAGE, "utf8"));
    const titled = (title: string) => blocks.find((block) => wordOf(block, "title") === title)?.text ?? "";
    const folder = await mkdtemp(join(tmpdir(), "towpath-notebook-"));
    try {
      const cells = [
        codeCell("a", titled("parameters"), ["parameters"]),
        codeCell("b", "print('sum', sum(map(int, open(path))), depths, day)"),
      ];
      const notebook = { nbformat: 4, nbformat_minor: 5, metadata: {}, cells };
      await writeFile(join(folder, "train.ipynb"), JSON.stringify(notebook));
      await writeFile(join(folder, "numbers.txt"), "1\n2\n3\n");
      await writeFile(join(folder, "flows.py"), titled("flows.py"));
      const shell = blocks.filter((block) => wordOf(block, "run") === "notebook");
      expect(shell).toHaveLength(1);
      const [command = "", ...words] = (shell[0]?.text ?? "").trim().split(" ");
      expect(command).toBe("python3");
      for (const args of [words, ["flows.py", "depths=[1]"]]) {
        const { code, output } = await runWith(python, args, { cwd: folder });
        expect(output).toMatch(/sum 6 \[.*\] 2026-03-01/);
        expect(output).toContain("train completed in");
        expect(code).toBe(0);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
