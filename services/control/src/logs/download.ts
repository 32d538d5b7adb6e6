import { type LogEntry, type LogFileQuery, printable, shortId } from "@towpath/contract";
import type { Deps, Scope, TextFile } from "../kernel/index.ts";
import { existingRun } from "../runs/index.ts";
import { getLogs } from "./read.ts";

/** Lines that are read at once; no more are in memory, however slowly the reader takes them. */
const PART_LINES = 2_000;

/** An entry as a line of a file. What a terminal would obey is left out: files are looked at in terminals too. */
function textOf(entry: LogEntry, manyAttempts: boolean): string {
  const attempt = manyAttempts ? `#${entry.attempt} ` : "";
  if (entry.kind === "gap") return `${attempt}--- ${entry.count} lines are missing: ${entry.reason}\n`;
  const origin = entry.stream === "log" ? "" : ` ${entry.stream}`;
  const task = entry.task === undefined ? "" : ` [${printable(entry.task)}]`;
  return `${attempt}${entry.at} ${entry.level}${origin}${task} ${printable(entry.text)}\n`;
}

/**
 * A run's log as a file, as far as it goes now: the whole of it, or the lines of one task run and of those that it called.
 * @throws Problem `run-not-found`, before the file begins.
 */
export async function downloadLogs(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: LogFileQuery & { runId: string },
): Promise<TextFile> {
  const { attempts } = await existingRun(deps.database.reads, { ...scope, runId: args.runId });
  const manyAttempts = attempts > 1 && args.attempt === undefined;
  return { name: `run-${shortId(args.runId)}.log`, parts: partsOf(deps, scope, { ...args, manyAttempts }) };
}

async function* partsOf(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: LogFileQuery & { runId: string; manyAttempts: boolean },
): AsyncGenerator<string> {
  let after = "0:0";
  for (;;) {
    const page = await getLogs(deps, scope, { ...args, after, limit: PART_LINES });
    if (page.entries.length > 0) yield page.entries.map((entry) => textOf(entry, args.manyAttempts)).join("");
    if (page.end || page.next === after) return;
    after = page.next;
  }
}
