import { join } from "node:path";
import ignore from "ignore";
import { readIfThere } from "../kernel/state-folder.ts";

/** A file with rules of what is not part of the code, in the syntax of `.gitignore`. It lies in the project's folder. */
export const IGNORE_FILE = ".towpathignore";

/** Files with these endings hold data. */
const DATA_FILE =
  /\.(7z|arrow|avro|bz2|csv|db|dta|duckdb|feather|gz|h5|hdf5|ipc|joblib|jsonl|ndjson|npy|npz|onnx|orc|parquet|pkl|pickle|pt|pth|rds|safetensors|sas7bdat|sqlite3?|tar|tgz|tsv|xlsx?|xz|zip|zst)$/i;

/** Smaller data files are part of the code: a table of country codes, for example. Bytes. */
export const DATA_FILE_MIN_BYTES: number = 1024 * 1024;

/** Whether a file is data that is not deployed with the code unless `files` names it. */
export function isData(path: string, bytes: number): boolean {
  return bytes >= DATA_FILE_MIN_BYTES && DATA_FILE.test(path);
}

/**
 * Reads which paths are not part of the code: those of `.towpathignore` and, outside a git repository, of `.gitignore`.
 * @returns Whether a path relative to the project is left out. A folder's path ends with `/`.
 */
export async function readIgnoreRules(
  root: string,
  { isRepository }: { isRepository: boolean },
): Promise<(path: string) => boolean> {
  const rules = ignore({ ignorecase: false });
  for (const name of isRepository ? [IGNORE_FILE] : [".gitignore", IGNORE_FILE])
    rules.add((await readIfThere(join(root, name))) ?? "");
  return (path) => rules.ignores(path);
}
