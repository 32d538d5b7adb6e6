import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { pageFolder } from "./page.ts";
import { runWith, venvWith } from "./venv.ts";

const TESTS = fileURLToPath(new URL("notebook_test.py", import.meta.url));
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
    await using page = await pageFolder("docs/how-to/notebooks.md", "notebook");
    const cells = [
      codeCell("a", page.titled("parameters"), ["parameters"]),
      codeCell("b", "print('sum', sum(map(int, open(path))), depths, day)"),
    ];
    const notebook = { nbformat: 4, nbformat_minor: 5, metadata: {}, cells };
    await writeFile(join(page.folder, "train.ipynb"), JSON.stringify(notebook));
    await writeFile(join(page.folder, "numbers.txt"), "1\n2\n3\n");
    expect(page.commands).toHaveLength(1);
    for (const args of [...page.commands, ["flows.py", "depths=[1]"]]) {
      const { code, output } = await runWith(python, args, { cwd: page.folder });
      expect(output).toMatch(/sum 6 \[.*\] 2026-03-01/);
      expect(output).toContain("train completed in");
      expect(code).toBe(0);
    }
  });
});
