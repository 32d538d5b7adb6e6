import { adviceFor, type LogEntry, type RunError, type RunFailure } from "@towpath/contract";
import type { Deps, Queryable, Scope } from "../kernel/index.ts";
import {
  existingRun,
  findFailedTask,
  type LogSource,
  listFailedGroups,
  listLogSources,
  listNeighbours,
  taskRunOf,
} from "../runs/index.ts";
import { readLog } from "./read.ts";
import { findChunkAt, readExtent } from "./store/rows.ts";

/** Entries of the log that are told beside a failure. */
const LINES = 6;
/** Lines before the instant of a failure among which its own are looked for, and lines after it: clocks may differ. */
const LINES_BEFORE = 2_000;
const LINES_AFTER = 500;

/** What an error says, with what it says of its causes. */
function textOf(error: RunError): string {
  return `${error.message}\n${error.stack ?? ""}`;
}

/**
 * Why a run failed, as far as its latest attempt tells. For a run that has not failed there is little to tell.
 * @throws Problem `run-not-found`.
 */
export async function getRunFailure(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: { runId: string },
): Promise<RunFailure> {
  const from = deps.database.reads;
  const name = { workspaceId: scope.workspaceId, runId: args.runId };
  const run = await existingRun(from, name);
  const attempt = { ...name, attempt: run.attempts };
  const { error } = run;
  const groups = await listFailedGroups(from, attempt);
  const row =
    error === null || groups.length === 0
      ? null
      : await findFailedTask(from, { ...attempt, message: error.message, text: textOf(error) });
  const source = (await listLogSources(from, deps.clock, name)).at(-1);
  const place = { path: row?.path ?? null, at: row?.endedAt?.toISOString() ?? null };
  const lines = source === undefined ? [] : await linesBeside(from, { ...name, source, ...place });
  const { lastCompleted, failingSince } = await listNeighbours(from, run);
  return {
    error,
    advice: adviceFor(run.cause, error),
    task: row === null ? null : taskRunOf(row),
    lines,
    groups: groups.map(({ calls, first }) => ({ task: first.name, calls, first: taskRunOf(first) })),
    failedCalls: groups[0]?.failedCalls ?? 0,
    lastCompleted: lastCompleted && { ...lastCompleted, endedAt: lastCompleted.endedAt.toISOString() },
    failingSince: failingSince && { ...failingSince, createdAt: failingSince.createdAt.toISOString() },
  };
}

/** Where in a log a failure stands: the path of its call, and when it ended. Null: at the log's end. */
interface FailurePlace {
  readonly workspaceId: string;
  readonly source: LogSource;
  readonly path: string | null;
  readonly at: string | null;
}

/** The last entries before a failure: those of its call, or whatever was written last. */
async function linesBeside(from: Queryable, args: FailurePlace): Promise<LogEntry[]> {
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
