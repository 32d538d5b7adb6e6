import { existsSync, statSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { shellWord } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { CODE_LIMITS, type CodeFile, tooMuchCode } from "./code-tree.ts";
import { runGit } from "./git-program.ts";
import { IGNORE_FILE, isData, readIgnoreRules } from "./left-out.ts";

/**
 * Whether a path relative to the project matches a pattern: `*` and `?` stay within a folder, `**` crosses folders, and
 * a pattern that names a folder means all that is in it. `.` is the project's folder.
 */
export function matchesPattern(path: string, pattern: string): boolean {
  const trimmed = pattern.replace(/^\.\//, "").replace(/\/+$/, "");
  const source = (trimmed === "" || trimmed === "." ? "**" : trimmed)
    .split("/")
    .map((segment, index, all) => {
      const last = index === all.length - 1;
      if (segment === "**") return last ? ".*" : "(?:[^/]+/)*";
      const one = segment
        .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
        .replaceAll("*", "[^/]*")
        .replaceAll("?", "[^/]");
      return last ? one : `${one}/`;
    })
    .join("");
  return new RegExp(`^${source}(?:/.*)?$`).test(path);
}

/** Folders that are never part of the code. */
export const LEFT_OUT_FOLDERS: readonly string[] = [
  "node_modules",
  ".git",
  ".towpath",
  "dist",
  ".turbo",
  ".cache",
  ".venv",
  "__pycache__",
  ".pytest_cache",
  ".mypy_cache",
  ".ruff_cache",
  ".ipynb_checkpoints",
  ".tox",
  ".nox",
];

/** The file in a folder that marks a virtual environment of Python, whatever its name. */
const ENVIRONMENT_MARK = "pyvenv.cfg";

/** Files that are never part of the code: local secrets, the ledger, and leftovers of tools. */
export const LEFT_OUT_FILES =
  /^(towpath\.ledger\.jsonl(\.lock)?|\.env(\..*)?|\.npmrc|\.DS_Store|.*\.tsbuildinfo|.*\.log|.*\.py[co])$/;

/** The files of a project, and what was left out. */
export interface ProjectFiles {
  readonly files: readonly CodeFile[];
  /** Symbolic links: never followed, never pushed. */
  readonly links: readonly string[];
  /** Data files. They are pushed only if a pattern matches them. */
  readonly data: readonly { readonly path: string; readonly bytes: number }[];
  /** What the author should know about patterns and ignored files. Whole sentences. */
  readonly warnings: readonly string[];
}

interface Walk {
  readonly root: string;
  readonly patterns: readonly string[] | undefined;
  /** The paths that git does not ignore. Null outside a repository. */
  readonly unignored: ReadonlySet<string> | null;
  /** Whether `.towpathignore` or, outside a repository, `.gitignore` leaves a path out. */
  readonly ignores: (path: string) => boolean;
  readonly files: CodeFile[];
  readonly links: string[];
  readonly data: { path: string; bytes: number }[];
  /** The patterns that match a file. */
  readonly matched: Set<string>;
  totalBytes: number;
}

async function takeFile(walk: Walk, path: string): Promise<void> {
  const { size, mode } = await stat(join(walk.root, path));
  if (walk.patterns === undefined && isData(path)) {
    walk.data.push({ path, bytes: size });
    return;
  }
  walk.totalBytes += size;
  if (size > CODE_LIMITS.fileBytes)
    throw tooMuchCode(`has a file of more than ${CODE_LIMITS.fileBytes >> 20} MiB`, path);
  if (walk.totalBytes > CODE_LIMITS.totalBytes)
    throw tooMuchCode(`is more than ${CODE_LIMITS.totalBytes >> 20} MiB`, `at ${path}`);
  if (walk.files.length >= CODE_LIMITS.files)
    throw tooMuchCode(`has more than ${CODE_LIMITS.files} files`, `at ${path}`);
  const bytes = await readFile(join(walk.root, path));
  walk.files.push({ path, bytes, executable: (mode & 0o100) !== 0 });
}

async function walkFolder(walk: Walk, folder: string, depth: number): Promise<void> {
  if (depth > CODE_LIMITS.depth) throw tooMuchCode(`is more than ${CODE_LIMITS.depth} folders deep`, folder);
  const entries = await readdir(join(walk.root, folder), { withFileTypes: true });
  if (folder !== "" && entries.some(({ name }) => name === ENVIRONMENT_MARK)) return;
  for (const entry of entries) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (LEFT_OUT_FOLDERS.includes(entry.name) || LEFT_OUT_FILES.test(entry.name)) continue;
    if (walk.ignores(entry.isDirectory() ? `${path}/` : path)) continue;
    if (entry.isDirectory()) {
      await walkFolder(walk, path, depth + 1);
      continue;
    }
    const matching = walk.patterns?.filter((pattern) => matchesPattern(path, pattern));
    if (matching?.length === 0) continue;
    if (walk.unignored?.has(path) === false) continue;
    for (const pattern of matching ?? []) walk.matched.add(pattern);
    if (entry.isSymbolicLink()) walk.links.push(path);
    else if (entry.isFile()) await takeFile(walk, path);
  }
}

/** What git says about a folder. */
interface GitView {
  /** The files that git does not ignore. Null if there is no repository, or it ignores the whole folder. */
  readonly unignored: ReadonlySet<string> | null;
  /** Why git could not list the files of a repository. */
  readonly warning: string | null;
}

/** Whether a folder or one above it has a `.git`. */
function isInRepository(folder: string): boolean {
  const above = dirname(folder);
  return existsSync(join(folder, ".git")) || (above !== folder && isInRepository(above));
}

async function askGit(
  root: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<GitView> {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."];
  const listed = await runGit({ args, cwd: root, environment }).catch((failure: unknown) => ({
    code: null,
    stdout: "",
    stderr: failure instanceof Failure ? failure.message : String(failure),
  }));
  if (listed.code === 0)
    return { unignored: listed.stdout === "" ? null : new Set(listed.stdout.split("\0")), warning: null };
  if (!isInRepository(resolve(root))) return { unignored: null, warning: null };
  const [said = ""] = listed.stderr.split("\n").filter((line) => line.trim() !== "");
  const reason = said.replace(/^fatal: /, "").replace(/\.$/, "");
  return {
    unignored: null,
    warning: `git cannot list the project's files: ${reason}. So only ${join(root, ".gitignore")} and ${IGNORE_FILE} leave files out. Run \`git status\` there to see the fault.`,
  };
}

/** Whether a path is never part of the code, by its name or a folder's. */
function isLeftOut(path: string): boolean {
  const segments = path.split("/");
  return (
    segments.some((segment) => LEFT_OUT_FOLDERS.includes(segment)) ||
    LEFT_OUT_FILES.test(segments.at(-1) ?? "")
  );
}

/** Why the file or folder that a pattern names is not deployed, and the next step. */
function whyNotDeployed({ root, unignored, ignores }: Walk, path: string): string {
  if (isLeftOut(path)) return "files of this name are never deployed. Remove it from `files`.";
  const isFile = statSync(join(root, path), { throwIfNoEntry: false })?.isFile() === true;
  if (ignores(isFile ? path : `${path}/`)) {
    const rules = unignored === null ? `.gitignore or ${IGNORE_FILE}` : IGNORE_FILE;
    return `${rules} ignores it. Remove the rule.`;
  }
  if (unignored !== null && isFile)
    return `git ignores it. Add it with \`git add --force ${shellWord(path)}\`, or remove the rule in .gitignore.`;
  return "it has no file that is deployed. Check .gitignore.";
}

/** Warnings about patterns that match no file, or only files that are left out. */
function patternWarnings(walk: Walk): string[] {
  const { root, patterns = [], matched } = walk;
  return patterns
    .filter((pattern) => !matched.has(pattern))
    .map((pattern) => {
      const path = pattern.replace(/^(\.?\/)+/, "").replace(/\/+$/, "");
      if (pattern.startsWith("/"))
        return `The pattern "${pattern}" in \`files\` begins with "/", so it matches no file. Patterns begin in the project's folder: write "${path || "**"}".`;
      return path !== "" && existsSync(join(root, path))
        ? `"${pattern}" in \`files\` exists, but it is not deployed: ${whyNotDeployed(walk, path)}`
        : `The pattern "${pattern}" in \`files\` matches no file, or only ignored files. Check its spelling, .gitignore and ${IGNORE_FILE}.`;
    });
}

/**
 * Reads the files of a project's code: all files, or those that match one of the patterns. Leaves out
 * dependencies, builds, state, `.env` files, what git or `.towpathignore` ignores, and data files that no pattern
 * matches.
 * @throws Failure if they exceed `CODE_LIMITS`.
 */
export async function readProjectFiles(
  root: string,
  args: {
    patterns?: readonly string[] | undefined;
    environment: Readonly<Record<string, string | undefined>>;
  },
): Promise<ProjectFiles> {
  const { unignored, warning } = await askGit(root, args.environment);
  const ignores = await readIgnoreRules(root, { isRepository: unignored !== null });
  const walk: Walk = {
    root,
    patterns: args.patterns,
    unignored,
    ignores,
    files: [],
    links: [],
    data: [],
    matched: new Set(),
    totalBytes: 0,
  };
  await walkFolder(walk, "", 0);
  const { files, links, data } = walk;
  const warnings = [...(warning === null ? [] : [warning]), ...patternWarnings(walk)];
  return { files, links, data, warnings };
}
