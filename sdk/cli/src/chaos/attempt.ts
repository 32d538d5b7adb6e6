import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type * as Testing from "towpath/test";
import type { JournalledAttempt } from "towpath/test";
import { lendOwnPackages } from "../deployments/own-packages.ts";
import { EXIT } from "../failure.ts";

const ENGINE = "towpath/test";

/** What a child process runs. */
export interface AttemptFile {
  readonly root: string;
  readonly module: string;
  readonly export: string;
  readonly attempt: JournalledAttempt;
}

/** The path of the engine that the project's modules import. Another copy would not recognise their errors. */
function engineOf(root: string): string {
  try {
    return pathToFileURL(createRequire(join(root, "package.json")).resolve(ENGINE)).href;
  } catch {
    // Not installed: then those modules use ours.
    return import.meta.resolve(ENGINE);
  }
}

/**
 * Runs one attempt in this process, and kills it on the way if the file says so.
 * @returns The exit code: 0 once an outcome is recorded.
 */
export async function runAttempt(path: string): Promise<number> {
  const file: AttemptFile = JSON.parse(await readFile(path, "utf8"));
  lendOwnPackages();
  const module = await import(pathToFileURL(join(file.root, file.module)).href);
  const engine: typeof Testing = await import(engineOf(file.root));
  await engine.runJournalled(module[file.export], file.attempt);
  return EXIT.ok;
}
