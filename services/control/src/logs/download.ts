import { type LogFileQuery, logFileText, shortId } from "@towpath/contract";
import type { Deps, Scope, TextFile } from "../kernel/index.ts";
import { existingRun } from "../runs/index.ts";
import { getLogs } from "./read.ts";

/** Lines of one read. No more are in memory, even for a slow reader. */
const PART_LINES = 2_000;

/**
 * A run's log up to now as a file: all of it, or the lines of one task run and of the tasks that it called.
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
    if (page.entries.length > 0) yield page.entries.map((entry) => logFileText(entry, args)).join("");
    if (page.end || page.next === after) return;
    after = page.next;
  }
}
