import { type TaskRun, taskPathLabel } from "@towpath/contract";
import { formatDuration } from "../kernel/duration.ts";
import { printable, type Style } from "../output.ts";
import { markOf } from "./outcome.ts";

/** Up to this many calls of one task are listed one by one. */
const EACH_MAX = 3;

/** A task's path as a label: names and keys without the hashes of inputs. */
export function pathLabel(path: string): string {
  return printable(taskPathLabel(path));
}

/** A call's label and depth. A mapped call has its name and key, such as `load/3`. */
export function callLabel({ path, name }: Pick<TaskRun, "path" | "name">): { label: string; depth: number } {
  const segments = pathLabel(path).split("/");
  const [leaf = "", above = ""] = segments.toReversed();
  const shown = printable(name);
  const isMapped = segments.length > 1 && !leaf.startsWith(shown) && above.startsWith(shown);
  return isMapped
    ? { label: `${above}/${leaf}`, depth: segments.length - 2 }
    : { label: leaf.startsWith(shown) ? leaf : shown, depth: segments.length - 1 };
}

/** A call's path without its key. Sibling calls of one task share it. */
export function placeOf({ path, name }: Pick<TaskRun, "path" | "name">): string {
  return `${path.slice(0, path.lastIndexOf(name))}${name}`;
}

/** Groups similar items if there are more than a few of them. Keeps the order. */
export function together<Item>(items: readonly Item[], keyOf: (item: Item) => string): Item[][] {
  const groups = Map.groupBy(items, keyOf);
  return [...groups.values()].flatMap((group) =>
    group.length > EACH_MAX ? [group] : group.map((item) => [item]),
  );
}

/** Many calls of one task as one line: the count, the shortest and the longest duration. */
export function groupLine(tasks: readonly TaskRun[], style: Style): string {
  const [first] = tasks;
  if (first === undefined) return "";
  const { depth } = callLabel(first);
  const took = tasks.flatMap(({ startedAt, endedAt }) =>
    startedAt === null || endedAt === null ? [] : [Date.parse(endedAt) - Date.parse(startedAt)],
  );
  const span =
    took.length === 0
      ? ""
      : [...new Set([Math.min(...took), Math.max(...took)].map(formatDuration))].join(" to ");
  const reused = first.reused ? "  reused results" : "";
  return `${"  ".repeat(depth)}${markOf(first.state, style)} ${printable(first.name)}${style.dim(` × ${tasks.length}${reused}  ${span}`.trimEnd())}`;
}

/** At most this many tasks are named as sources of a call's data. */
const SOURCES_MAX = 4;

/** The tasks whose results some calls received, such as `  ← load, clean`. Empty if none is known. */
export function sourcesText(
  calls: readonly TaskRun[],
  { nameOf, style }: { nameOf: ReadonlyMap<string, string>; style: Style },
): string {
  const paths = calls.flatMap(({ upstream }) => upstream?.paths ?? []);
  // A map is no call, so its path has no entry.
  const names = new Set(paths.map((path) => nameOf.get(path) ?? nameIn(path)));
  if (names.size === 0) return "";
  const shown = [...names].slice(0, SOURCES_MAX).map(printable);
  const more = names.size > SOURCES_MAX || calls.some(({ upstream }) => upstream?.more === true);
  return style.dim(`  ← ${shown.join(", ")}${more ? " and more" : ""}`);
}

/** The name in the last part of a path, which may have a kind before it and a key after it. */
function nameIn(path: string): string {
  const leaf = path.slice(path.lastIndexOf("/") + 1).replace(/^(flow|wait):/, "");
  return /^[^:#]+/.exec(leaf)?.[0] ?? path;
}

/** Up to this many calls of one task are printed one by one while a run is followed. */
const FOLLOWED_MAX = 20;

/**
 * Limits the lines about calls: prints the first calls of each task, and all that failed or were retried. A task with
 * 100,000 calls does not print as many lines.
 * @returns A function that returns the lines to print for a call.
 */
export function sparing(style: Style): (task: TaskRun, line: string) => string[] {
  const told = new Map<string, number>();
  return (task, line) => {
    const place = placeOf(task);
    const count = (told.get(place) ?? 0) + 1;
    told.set(place, count);
    if (task.error !== null || task.tries > 1 || count < FOLLOWED_MAX) return [line];
    if (count > FOLLOWED_MAX) return [];
    const rest = `  … further calls of ${printable(task.name)} are printed only if they fail or are retried`;
    return [line, style.dim(rest)];
  };
}

/** Calls of one attempt with the same key are listed together. A failed call is always listed alone. */
export function likeness(task: TaskRun): string {
  const alone = task.error === null ? "" : task.path;
  return [task.attemptId, placeOf(task), task.state, task.reused, alone].join("\n");
}
