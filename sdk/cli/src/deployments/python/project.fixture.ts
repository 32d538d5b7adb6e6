import { spawnSync } from "node:child_process";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { folderWith } from "../../fixture.ts";

const SDK = fileURLToPath(new URL("../../../../python/src", import.meta.url));

/** Whether python3 is installed. */
export const hasPython: boolean = spawnSync("python3", ["--version"]).status === 0;

/** The program of an environment that has the package `towpath`. */
export const PYTHON_STUB = `#!/bin/sh\nPYTHONPATH='${SDK}' exec python3 "$@"\n`;

/** A project whose environment has the package `towpath`. */
export async function pythonProject(files: Readonly<Record<string, string>>) {
  const folder = await folderWith({
    ...files,
    ".venv/bin/python": PYTHON_STUB,
  });
  await chmod(join(folder.root, ".venv/bin/python"), 0o755);
  return folder;
}

/** A flow with a helper module. */
export const TRAIN = {
  "flows/train.py": `from flows.lib import double
from towpath import flow, task

print("loading")

@task
def load(path: str) -> int:
    return double(len(path))

@flow
def train_all(path: str, depths: list[int] = [2, 4]) -> int:
    return load(path)
`,
  "flows/lib.py": "def double(x):\n    return 2 * x\n",
};
