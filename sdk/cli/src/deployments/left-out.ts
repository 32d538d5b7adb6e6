import { join } from "node:path";
import { bytesText } from "@towpath/contract";
import ignore from "ignore";
import { readIfThere } from "../kernel/state-folder.ts";

/** A file with rules of what is not part of the code, in the syntax of `.gitignore`. It lies in the project's folder. */
export const IGNORE_FILE = ".towpathignore";

/** Files with these endings hold data, and the files that databases write beside theirs. */
const DATA_FILE =
  /\.(7z|arrow|avro|bz2|csv|db|db3|dta|duckdb|feather|gz|h5|hdf5|ipc|joblib|jsonl|ndjson|npy|npz|onnx|orc|parquet|pkl|pickle|pt|pth|rds|safetensors|sas7bdat|sqlite3?|tar|tgz|tsv|xlsx?|xz|zip|zst)([-.](journal|shm|wal))?$/i;

/**
 * Whether a file is data that is not deployed with the code unless `files` names it. Its size does not count: a flow may
 * write it beside itself, and each change of the code makes new versions.
 */
export function isData(path: string): boolean {
  return DATA_FILE.test(path);
}

/** The most data files that a sentence names. */
const NAMED_MAX = 3;

/** One sentence about the data files that are not deployed, and the next step. Empty if there are none. */
export function leftOutText(
  data: readonly { readonly path: string; readonly bytes: number }[],
  configFile = "towpath.config.ts",
): string[] {
  if (data.length === 0) return [];
  const largest = [...data].sort((a, b) => b.bytes - a.bytes).slice(0, NAMED_MAX);
  const named = largest.map(({ path, bytes }) => `${path} (${bytesText(bytes)})`).join(", ");
  const rest = data.length > NAMED_MAX ? ` and ${data.length - NAMED_MAX} more` : "";
  const what = data.length === 1 ? "1 data file is" : `${data.length} data files are`;
  const them = data.length === 1 ? "it" : "them";
  return [
    `${what} not deployed: ${named}${rest}. To deploy ${them}, set ${configFile.endsWith(".ts") ? '`files: ["**"]`' : '`files = ["**"]`'} in ${configFile}. If no run reads ${them} from the code, list ${them} in ${IGNORE_FILE}.`,
  ];
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
