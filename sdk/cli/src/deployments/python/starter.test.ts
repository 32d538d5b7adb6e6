import { spawnSync } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { caught, folderWith } from "../../fixture.ts";
import type { Invocation } from "../../kernel/invocation.ts";
import { initPython } from "../init.ts";
import { loadProject } from "../load-project.ts";
import { hasPython, PYTHON_STUB } from "./project.fixture.ts";

if (!hasPython && process.env.CI) throw new Error("The tests of Python need python3 under CI. Install it.");

function invocationIn(cwd: string) {
  const lines: string[] = [];
  const style = { green: (text: string) => text };
  const output = {
    style,
    data: () => {},
    line: (text: string) => lines.push(text),
    next: (text: string) => lines.push(text),
  };
  return { invocation: { cwd, output } as unknown as Invocation, lines };
}

describe.skipIf(!hasPython)("a new project in Python", { timeout: 120_000 }, () => {
  test("loads, runs and passes its test", async () => {
    await using folder = await folderWith();
    const { invocation, lines } = invocationIn(folder.root);
    await initPython(invocation, "my-flows");
    const root = join(folder.root, "my-flows");
    expect(lines.filter((line) => line.startsWith("+"))).toHaveLength(5);
    expect(lines.join("\n")).toContain("cd my-flows && python3 -m venv .venv");
    await mkdir(join(root, ".venv/bin"), { recursive: true });
    await writeFile(join(root, ".venv/bin/python"), PYTHON_STUB);
    await chmod(join(root, ".venv/bin/python"), 0o755);
    const project = await loadProject(root, { folder: { root: join(root, ".towpath") } as never });
    expect(project).toMatchObject({ name: "my-flows", deployments: [{ settings: { deployment: "hello" } }] });
    // The commands that init prints.
    for (const words of [
      ["-m", "flows.hello", "name=Ada"],
      ["-m", "unittest", "tests/test_hello.py"],
    ]) {
      const ran = spawnSync(join(root, ".venv/bin/python"), ["-B", ...words], {
        cwd: root,
        encoding: "utf8",
      });
      expect(ran.status, ran.stderr + ran.stdout).toBe(0);
    }
  });

  test("keeps an existing pyproject.toml, and overwrites no flow", async () => {
    await using folder = await folderWith({ "pyproject.toml": "[project]\n", ".gitignore": "data/" });
    const { invocation, lines } = invocationIn(folder.root);
    await initPython(invocation, undefined);
    expect(await readFile(join(folder.root, "pyproject.toml"), "utf8")).toBe("[project]\n");
    expect(await readFile(join(folder.root, ".gitignore"), "utf8")).toMatch(/^data\/\n\.venv\/\n/);
    expect(lines).toContain("add `towpath` to the dependencies in pyproject.toml");
    expect(await caught(initPython(invocation, undefined))).toMatchObject({ code: "exists" });
  });
});
