import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { CodeFile } from "./deployments/code-tree.ts";

/** A folder of a test's own with files in it; `await using` removes it. */
export async function folderWith(files: Readonly<Record<string, string>> = {}) {
  const root = await mkdtemp(join(tmpdir(), "towpath-cli-"));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return {
    root,
    async [Symbol.asyncDispose]() {
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** A file of a code tree. */
export function codeFile(path: string, text: string, executable = false): CodeFile {
  return { path, bytes: new TextEncoder().encode(text), executable };
}

/** What a promise rejects with. */
export function caught(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (failure: unknown) => failure,
  );
}
