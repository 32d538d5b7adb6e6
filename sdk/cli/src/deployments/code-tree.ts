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

/** The limits of a project's code. */
export const CODE_LIMITS = {
  files: 10_000,
  fileBytes: 64 * 1024 * 1024,
  totalBytes: 256 * 1024 * 1024,
  /** The deepest folder. */
  depth: 32,
} as const;

/** The failure if a project's code exceeds a limit. */
export function tooMuchCode(what: string, where: string): Failure {
  return new Failure(`The project's code ${what} (${where}).`, {
    exit: "configuration",
    code: "too-much-code",
    next: ["list the files that belong to the code with `files: [...]` in towpath.config.ts; leave out data"],
  });
}

/**
 * Joins files. Of two files with one path the later wins. Sorts by code units, so that the same files give the same
 * tree on every machine.
 * @throws Failure if they exceed `CODE_LIMITS`.
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
