import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A Python on this machine. */
export interface Interpreter {
  /** `3.11`. */
  readonly version: string;
  readonly path: string;
}

const SUPPORTED = ["3.10", "3.11", "3.12", "3.13", "3.14"];
const CODE = 'import sys; print("%d.%d" % sys.version_info[:2])';

function versionOf(path: string): string | null {
  const { status, stdout } = spawnSync(path, ["-c", CODE], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

function find(): Interpreter[] {
  const pyenv = process.env.PYENV_ROOT ?? join(homedir(), ".pyenv");
  const candidates = [
    "python3",
    ...SUPPORTED.map((version) => `python${version}`),
    ...globSync(join(pyenv, "versions/3.*/bin/python3")),
  ];
  const found = new Map<string, Interpreter>();
  for (const path of candidates) {
    const version = versionOf(path);
    if (version !== null && SUPPORTED.includes(version) && !found.has(version))
      found.set(version, { version, path });
  }
  return [...found.values()].sort((a, b) => a.version.localeCompare(b.version, "en", { numeric: true }));
}

/** The supported interpreters of this machine, one of each version. */
export const interpreters: readonly Interpreter[] = find();

export { hasPython } from "../../worker/src/testing/python.fixture.ts";

/** The folder of the package `towpath` for Python. */
export const PYTHON_SDK: string = fileURLToPath(new URL("../../sdk/python/src", import.meta.url));

/** Gives a project an environment that has the package `towpath`, and the packages of this Python. */
export async function addEnvironment(root: string, python = "python3"): Promise<void> {
  const program = join(root, ".venv/bin/python");
  await mkdir(join(root, ".venv/bin"), { recursive: true });
  await writeFile(program, `#!/bin/sh\nPYTHONPATH='${PYTHON_SDK}' exec ${python} "$@"\n`);
  await chmod(program, 0o755);
}
