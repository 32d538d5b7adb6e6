import type { Run, RunError, TaskRun } from "@towpath/contract";
import { LogRow } from "../logs/log-row.tsx";
import { printable } from "../logs/printable.ts";
import { framesOf } from "./frames.ts";
import { StateShape } from "./state-badge.tsx";
import type { LogEntry } from "./use-run-stream.ts";

/** Frames beside the deepest one that are shown without asking. */
const FRAMES_SHOWN = 4;
/** Lines of the log beside the failure. */
const LINES_SHOWN = 3;
const GROUPS_MAX = 5;

/** The task call that failed first, if one did. */
function firstFailed(tasks: readonly TaskRun[]): TaskRun | undefined {
  return tasks
    .filter((task) => task.error !== null && task.endedAt !== null)
    .toSorted((a, b) => (a.endedAt ?? "").localeCompare(b.endedAt ?? ""))[0];
}

/** What a failure is but for what differs between calls: numbers, ids, quoted values. */
function fingerprint(error: RunError): string {
  return `${error.name} ${error.message.replaceAll(/"[^"]*"|'[^']*'|[0-9a-f]{8,}|\d+/gi, "…").slice(0, 200)}`;
}

/** Failures of many calls by what they have in common, the commonest first. */
function groupsOf(tasks: readonly TaskRun[]) {
  const failed = tasks.flatMap((task) => (task.error ? [{ task, error: task.error }] : []));
  return [...Map.groupBy(failed, ({ error }) => fingerprint(error)).values()]
    .toSorted((a, b) => b.length - a.length)
    .slice(0, GROUPS_MAX);
}

/** The last lines of the failed task before it ended, or of the run. */
function linesBeside(entries: readonly LogEntry[], task: TaskRun | undefined): LogEntry[] {
  const lines = entries.filter((entry) => entry.kind === "line");
  const own = task ? lines.filter((entry) => entry.task === task.path) : [];
  const until = task?.endedAt ?? "￿";
  return (own.length > 0 ? own : lines.filter((entry) => entry.at <= until)).slice(-LINES_SHOWN);
}

function Stack({ stack }: { stack: string }) {
  const { frames, deepest } = framesOf(stack.split("\n").map(printable).join("\n"));
  if (frames.length === 0) return null;
  const from = Math.max(0, deepest);
  const near = frames.slice(from, from + FRAMES_SHOWN);
  return (
    <div className="overflow-x-auto rounded-md border border-line bg-surface px-3 py-2 font-mono text-12">
      {near.map((frame, index) => (
        <div
          // biome-ignore lint/suspicious/noArrayIndexKey: frames of a stack never move.
          key={index}
          data-deepest={(deepest >= 0 && index === 0) || undefined}
          className="whitespace-pre text-faint data-deepest:font-semibold data-deepest:text-ink"
        >
          {frame.text}
        </div>
      ))}
      {frames.length > near.length && (
        <details className="text-faint">
          <summary>All {frames.length} frames</summary>
          <pre>{frames.map((frame) => frame.text).join("\n")}</pre>
        </details>
      )}
    </div>
  );
}

/** Why a run failed: the error, the deepest frame of the reader's own code, and what was logged beside it. */
export function RootCause({
  run,
  tasks,
  entries,
}: {
  run: Run;
  tasks: readonly TaskRun[];
  entries: readonly LogEntry[];
}) {
  const task = firstFailed(tasks);
  const error = task?.error ?? run.error;
  if (!error) return null;
  const groups = groupsOf(tasks);
  const beside = linesBeside(entries, task);
  return (
    <section aria-label="Root cause" className="rounded-lg border border-bad bg-bad-soft p-3">
      <h2 className="flex flex-wrap items-center gap-2">
        <StateShape state="failed" />
        <span className="text-bad">{error.name}</span>
        {task && <span className="font-normal text-soft">in task {task.name}</span>}
      </h2>
      <p className="my-1.5 text-14 font-medium [overflow-wrap:anywhere] whitespace-pre-wrap">
        {printable(error.message)}
      </p>
      <div className="grid gap-3 lg:grid-cols-2">
        {error.stack && <Stack stack={error.stack} />}
        {beside.length > 0 && (
          <div className="min-w-0 rounded-md border border-line bg-surface py-2 font-mono text-12">
            {beside.map((entry) => (
              <LogRow
                key={`${entry.attempt}:${entry.line}`}
                entry={entry}
                runId={run.id}
                pointed={false}
                found=""
              />
            ))}
          </div>
        )}
      </div>
      {(groups.length > 1 || (groups[0]?.length ?? 0) > 1) && (
        <ul className="mt-2 space-y-0.5">
          {groups.map((group) => (
            <li key={group[0]?.task.path} className="flex gap-2">
              <span className="shrink-0 font-medium tabular-nums">{group.length}×</span>
              <span className="min-w-0 truncate">
                {group[0]?.task.name}: {printable(group[0]?.error.message ?? "")}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
