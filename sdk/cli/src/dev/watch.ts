import { watch } from "node:fs";
import { LEFT_OUT_FILES, LEFT_OUT_FOLDERS } from "../deployments/project-files.ts";

/** How long the files must be quiet before a change counts: editors write in several steps. */
const QUIET_MS = 250;

/** Whether a path inside a project is one that its code is made of. */
export function isSource(path: string): boolean {
  const segments = path.split(/[/\\]/);
  const name = segments.at(-1) ?? "";
  return !segments.some((segment) => LEFT_OUT_FOLDERS.includes(segment)) && !LEFT_OUT_FILES.test(name);
}

/**
 * Calls back after source files of a folder have changed, one call at a time; what changes during a call leads to one
 * more. Ends with the signal.
 */
export function watchSources(
  root: string,
  a: { signal: AbortSignal; onChange: (paths: readonly string[]) => Promise<void> },
): void {
  const changed = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let busy = false;
  const flush = async () => {
    if (busy || a.signal.aborted) return;
    busy = true;
    const paths = [...changed];
    changed.clear();
    await a.onChange(paths);
    busy = false;
    if (changed.size > 0) schedule();
  };
  const schedule = () => {
    clearTimeout(timer);
    timer = setTimeout(() => void flush(), QUIET_MS);
  };
  const watcher = watch(root, { recursive: true, signal: a.signal }, (_, path) => {
    if (path === null || !isSource(path)) return;
    changed.add(path);
    schedule();
  });
  // A folder that vanishes while it is watched is no reason to stop everything.
  watcher.on("error", () => undefined);
  a.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}
