import type { Client } from "@towpath/client";
import { closest, LIMITS, taskPathLabel } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { printable } from "../output.ts";
import type { LogEntry } from "../runs/run-view.ts";

/** At most this many pages of task runs are read. */
const PAGES_MAX = 50;
/** At most this many tasks are named in a failure. */
const NAMED_MAX = 20;

/** Which lines of a log belong to a task: the path of one call, which the server filters by, or a test of each entry. */
export type OfTask = { readonly path: string } | { readonly isWanted: (entry: LogEntry) => boolean };

/** Whether a path is that of a call of a task: the same path, with or without hashes of inputs, or a call with this name. */
function isCall(path: string, written: string): boolean {
  const label = taskPathLabel(path);
  const names = [label, label.slice(label.lastIndexOf("/") + 1)];
  return (
    path === written ||
    names.some(
      (name) => name === written || (name.startsWith(written) && /^[:#]/.test(name.slice(written.length))),
    )
  );
}

/** Whether a path is that of a call of a task, or of a task run that such a call started. */
export function isWithin(path: string, written: string): boolean {
  const segments = path.split("/");
  return segments.some((_, index) => isCall(segments.slice(0, index + 1).join("/"), written));
}

async function pathsOf(client: Client, runId: string): Promise<{ paths: string[]; isAll: boolean }> {
  const paths: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    const query = { limit: LIMITS.pageRows, ...(cursor === undefined ? {} : { cursor }) };
    const { items, next } = await client.listTaskRuns({ params: { runId }, query });
    paths.push(...items.map(({ path }) => path));
    if (next === null) return { paths, isAll: true };
    cursor = next;
  }
  return { paths, isAll: false };
}

/**
 * Which lines `--task` means. A plain name means all calls of that task, and the task runs that they called.
 * @param args.mayCome Whether the run may still call tasks.
 * @throws Failure `task-run-not-found` that names the task runs of the run.
 */
export async function ofTask(
  client: Client,
  { runId, written, mayCome }: { runId: string; written: string; mayCome: boolean },
): Promise<OfTask> {
  const { paths, isAll } = await pathsOf(client, runId);
  const [only, ...others] = paths.filter((path) => isCall(path, written));
  if (only !== undefined && others.length === 0 && isAll && !mayCome) return { path: only };
  if (only !== undefined || !isAll || mayCome)
    return {
      isWanted: (entry) => entry.kind === "line" && entry.task !== undefined && isWithin(entry.task, written),
    };
  const labels = [...new Set(paths.map(taskPathLabel))];
  const near = closest(written, labels);
  const shown = labels.slice(0, NAMED_MAX).map(printable).join(", ");
  const more = labels.length > NAMED_MAX ? ` and ${labels.length - NAMED_MAX} more` : "";
  throw new Failure(`The run has no task run "${printable(written)}".`, {
    exit: "notFound",
    code: "task-run-not-found",
    next:
      labels.length === 0
        ? ["the run has called no task; leave out --task"]
        : [
            ...(near === null ? [] : [`did you mean "${printable(near)}"?`]),
            `its task runs: ${shown}${more}`,
          ],
  });
}
