import { type FSWatcher, watch } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isData } from "../deployments/left-out.ts";
import { LEFT_OUT_FILES, LEFT_OUT_FOLDERS } from "../deployments/project-files.ts";
import { CONFIG_FILES } from "../deployments/python/config-file.ts";

/**
 * How long files must be quiet before a change counts, because editors write in several steps. A later write triggers
 * another deploy, so this can be short.
 */
const QUIET_MS = 60;
/** At most this many folders of a project are watched. */
const FOLDERS_MAX = 4096;
/** The files that may describe the project. */
const CONFIG_PATHS: readonly string[] = Object.values(CONFIG_FILES);
/** Temporary files of editors. */
const EDITOR_FILES = /(~|\.sw[a-z]|\.tmp)$|^\.#/;

/** Whether a path in a project belongs to its code. */
export function isSource(path: string): boolean {
  const segments = path.split(/[/\\]/);
  const name = segments.at(-1) ?? "";
  const isLeftOut = LEFT_OUT_FILES.test(name) || EDITOR_FILES.test(name);
  return !segments.some((segment) => LEFT_OUT_FOLDERS.includes(segment)) && !isLeftOut;
}

/** The folders and files of a project's code, as relative paths. */
interface Watched {
  readonly root: string;
  readonly folders: Map<string, FSWatcher>;
  readonly files: Set<string>;
  readonly touch: (path: string) => void;
}

/**
 * Watches one folder and its subfolders. A watch of a single file would miss editors that save by renaming another file
 * over it.
 */
async function watchFolder(args: Watched, folder: string): Promise<void> {
  if (args.folders.has(folder) || args.folders.size >= FOLDERS_MAX) return;
  const path = join(args.root, folder);
  try {
    const watcher = watch(path, (_, name) => name !== null && args.touch(join(folder, name)));
    args.folders.set(folder, watcher);
    // A watched folder may disappear.
    watcher.on("error", () => forget(args, folder));
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const inside = join(folder, entry.name);
      if (!isSource(inside)) continue;
      if (entry.isDirectory()) await watchFolder(args, inside);
      else args.files.add(inside);
    }
  } catch {
    forget(args, folder);
  }
}

function forget(args: Watched, folder: string): void {
  args.folders.get(folder)?.close();
  args.folders.delete(folder);
}

/** The files that changed below a path. A file that existed only for a moment does not count. */
async function settle(args: Watched, path: string): Promise<readonly string[]> {
  const found = await stat(join(args.root, path)).catch(() => null);
  if (found?.isDirectory()) {
    if (args.folders.has(path)) return [];
    const before = new Set(args.files);
    await watchFolder(args, path);
    return [...args.files].filter((file) => !before.has(file));
  }
  if (found !== null) args.files.add(path);
  else {
    forget(args, path);
    const inside = [...args.files].filter((file) => file === path || file.startsWith(`${path}/`));
    for (const file of inside) args.files.delete(file);
    return inside;
  }
  return [path];
}

/** What to watch for. */
interface Watch {
  readonly signal: AbortSignal;
  readonly onChange: (paths: readonly string[]) => Promise<void>;
  /** Whether data files are part of the code, because the project names its files. */
  readonly takesData: boolean;
  /** Asked at each change of a data file that may be part of the code. True: the change does not count. */
  readonly skipsData?: (path: string) => boolean;
}

/**
 * Calls back after source files in a folder have changed, one call at a time. Changes during a call lead to one more call.
 * Ends with the signal.
 * @returns When the watch is active.
 */
export async function watchSources(root: string, args: Watch): Promise<void> {
  const touched = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let busy = false;
  const schedule = () => {
    clearTimeout(timer);
    if (!args.signal.aborted) timer = setTimeout(() => void flush(), QUIET_MS);
  };
  let { takesData } = args;
  const touch = (path: string) => {
    // The configuration may name data files from now on.
    takesData ||= CONFIG_PATHS.includes(path);
    if (!isSource(path) || (isData(path) && (!takesData || args.skipsData?.(path) === true))) return;
    touched.add(path);
    schedule();
  };
  const watched: Watched = { root, folders: new Map(), files: new Set(), touch };
  const flush = async () => {
    if (busy || args.signal.aborted) return;
    busy = true;
    const paths = [...touched];
    touched.clear();
    const changed = new Set<string>();
    for (const path of paths)
      for (const file of await settle(watched, path))
        if (file === path || !isData(file) || args.skipsData?.(file) !== true) changed.add(file);
    if (changed.size > 0 && !args.signal.aborted) await args.onChange([...changed]);
    busy = false;
    if (touched.size > 0) schedule();
  };
  const close = () => {
    clearTimeout(timer);
    for (const folder of [...watched.folders.keys()]) forget(watched, folder);
  };
  args.signal.addEventListener("abort", close, { once: true });
  await watchFolder(watched, "");
  if (args.signal.aborted) close();
}
