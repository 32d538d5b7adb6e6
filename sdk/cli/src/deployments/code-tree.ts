import { Failure } from "../failure.ts";

/** One file of the code that a deployment runs. */
export interface CodeFile {
  /** Relative to the code's folder, with `/`. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly executable: boolean;
}

/** The files of a project's code, sorted by path, each path once. */
export type CodeTree = readonly CodeFile[];

/** What a project's code may hold. */
export const CODE_LIMITS = {
  files: 10_000,
  fileBytes: 64 * 1024 * 1024,
  totalBytes: 256 * 1024 * 1024,
  /** Folders below the project's. */
  depth: 32,
} as const;

/** The failure to show when a project's code is larger than code may be. */
export function tooMuchCode(what: string, place: string): Failure {
  return new Failure(`The project's code ${what} (${place}).`, {
    exit: "configuration",
    code: "too-much-code",
    next: ["name what belongs to the code with `files: [...]` in towpath.config.ts; data does not"],
  });
}

/**
 * Puts files together; of two with one path the later wins. Sorted by code units, so that the same files give the same
 * tree on every machine.
 * @throws Failure when they are more or larger than `CODE_LIMITS`.
 */
export function codeTree(files: Iterable<CodeFile>): CodeTree {
  const byPath = new Map<string, CodeFile>();
  for (const file of files) byPath.set(file.path, file);
  const tree = [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  if (tree.length > CODE_LIMITS.files)
    throw tooMuchCode(`has more than ${CODE_LIMITS.files} files`, `${tree.length}`);
  let total = 0;
  for (const { path, bytes } of tree) {
    total += bytes.length;
    if (bytes.length > CODE_LIMITS.fileBytes)
      throw tooMuchCode(`has a file of more than ${CODE_LIMITS.fileBytes >> 20} MiB`, path);
    if (total > CODE_LIMITS.totalBytes)
      throw tooMuchCode(`is more than ${CODE_LIMITS.totalBytes >> 20} MiB`, `at ${path}`);
  }
  return tree;
}
