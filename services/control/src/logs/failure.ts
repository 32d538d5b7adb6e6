import { adviceFor, type LogEntry, type RunError, type RunFailure } from "@towpath/contract";
import type { Deps, Queryable, Scope } from "../kernel/index.ts";
import { type LogSource, readFailure, readLogSources } from "../runs/index.ts";
import { readLog } from "./read.ts";
import { findChunkAt, readExtent } from "./store/rows.ts";

/** How many entries of the log an answer has. */
const LINES = 6;
/** Lines before and after the instant of a failure that are searched for the lines of its call. Clocks may differ. */
const LINES_BEFORE = 2_000;
const LINES_AFTER = 500;

/** The text of an error and of its causes. */
function textOf(error: RunError): string {
  return `${error.message}\n${error.stack ?? ""}`;
}

/**
 * Why a run failed, from its latest attempt. For a run that has not failed, most fields are null or empty.
 * @throws Problem `run-not-found`.
 */
export async function getRunFailure(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: { runId: string },
): Promise<RunFailure> {
  const from = deps.database.reads;
  const name = { workspaceId: scope.workspaceId, runId: args.runId };
  const { run, sources } = await readLogSources(from, deps.clock, name);
  const { error } = run;
  const text = error === null ? "" : textOf(error);
  const { groups, task, lastCompleted, failingSince } = await readFailure(from, run, text);
  const source = sources.at(-1);
  const failure = { path: task?.path ?? null, at: task?.endedAt ?? null };
  const lines = source === undefined ? [] : await linesBeside(from, { ...name, source, ...failure });
  return {
    error,
    advice: adviceFor(run.cause, error),
    task,
    lines,
    groups: groups.map(({ calls, first }) => ({ task: first.name, calls, first })),
    failedCalls: groups[0]?.failedCalls ?? 0,
    lastCompleted: lastCompleted && { ...lastCompleted, endedAt: lastCompleted.endedAt.toISOString() },
    failingSince: failingSince && { ...failingSince, createdAt: failingSince.createdAt.toISOString() },
  };
}

/** A failure in a log: the path of its call, and the instant of its end. Null: at the log's end. */
interface FailurePosition {
  readonly workspaceId: string;
  readonly source: LogSource;
  readonly path: string | null;
  readonly at: string | null;
}

/** The last entries of a failed call, or if it has none, the last entries before the failure. */
async function linesBeside(from: Queryable, args: FailurePosition): Promise<LogEntry[]> {
  const { workspaceId, source, at } = args;
  const log = { workspaceId, attemptId: source.attemptId };
  const extent = await readExtent(from, log);
  if (extent === null) return [];
  const near = at === null ? extent.nextLine : await findChunkAt(from, { ...log, ...extent, at });
  const line = Math.max(extent.firstLine, near - LINES_BEFORE);
  const limit = Math.min(extent.nextLine, near + LINES_AFTER) - line;
  const { ordinal } = source;
  const { entries } = await readLog(from, {
    workspaceId,
    sources: [source],
    after: { attempt: ordinal, line },
    limit,
  });
  const own = entries.filter((entry) => entry.kind === "line" && entry.task === args.path);
  if (own.length > 0) return own.slice(-LINES);
  return entries.filter((entry) => at === null || entry.kind === "gap" || entry.at <= at).slice(-LINES);
}
