import type { Client } from "@towpath/client";
import {
  isFinalRunState,
  LOG_LEVELS,
  type LogLevel,
  type Run,
  searchable,
  searchedText,
  WINDOW_ROWS_MAX,
} from "@towpath/contract";
import { EXIT } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { logLine } from "../runs/draw.ts";
import { findRunId } from "../runs/find.ts";
import { describeState, exitOfState } from "../runs/outcome.ts";
import type { LogEntry } from "../runs/run-view.ts";
import { ofTask } from "./of-task.ts";
import { type StoredOpener, storedOpener } from "./stored.ts";

const PAGE_LINES = 1000;
const START = "0:0";

/** The arguments of `towpath logs`. */
export interface LogRequest {
  readonly id: string;
  readonly follow: boolean;
  /** Only lines that contain this text; case is ignored. */
  readonly grep?: string | undefined;
  /** Only lines of this level and above. */
  readonly level?: LogLevel | undefined;
  /** Only this many last entries. */
  readonly tail?: number | undefined;
  /** Only lines of this attempt. */
  readonly attempt?: number | undefined;
  /** A task's name, or the path of a task run: only lines of these calls, and of task runs that they called. */
  readonly task?: string | undefined;
}

/** A run's log and its filters. */
interface Log {
  readonly client: Client;
  /** Opens texts that stay in the customer's store. */
  readonly opener: StoredOpener;
  readonly params: { readonly runId: string };
  readonly query: { attempt?: number; levels?: string; text?: string; task?: string };
  /** Selects entries for which the server has no filter. */
  readonly isWanted?: (entry: LogEntry) => boolean;
}

function queryOf({ grep, level, attempt }: LogRequest): Log["query"] {
  return {
    ...(attempt === undefined ? {} : { attempt }),
    ...(level === undefined ? {} : { levels: LOG_LEVELS.slice(LOG_LEVELS.indexOf(level)).join(",") }),
    ...(grep === undefined ? {} : { text: grep }),
  };
}

/** Prints entries as text, or one JSON document for each line. */
function printEntries(invocation: Invocation, entries: readonly LogEntry[], attempts: boolean): void {
  const { output } = invocation;
  for (const entry of entries) {
    output.datum(entry);
    output.line(logLine(entry, { style: output.style, attempts }));
  }
}

/** The entries with their texts, and without those that are not wanted. */
async function shown({ opener, params, isWanted }: Log, entries: readonly LogEntry[]): Promise<LogEntry[]> {
  const opened = await opener.entries(params.runId, entries);
  return isWanted === undefined ? [...opened] : opened.filter(isWanted);
}

/** Reads the pages after a cursor up to the present end. @returns The cursor after the last entry. */
async function* pagesAfter(log: Log, from: string): AsyncGenerator<LogEntry[], string> {
  let after = from;
  for (;;) {
    const query = { ...log.query, after, limit: PAGE_LINES };
    const page = await log.client.getLogs({ params: log.params, query });
    yield await shown(log, page.entries);
    if (page.end || page.next === after) return page.next;
    after = page.next;
  }
}

/** The last entries of a log, and the cursor after them. */
interface Tail {
  readonly entries: readonly LogEntry[];
  readonly next: string;
}

/** Reads the last rows by their number. With a text or a task run the log is searched from its start. */
async function readTail(log: Log, count: number): Promise<Tail> {
  let entries: LogEntry[] = [];
  if (log.query.text !== undefined || log.query.task !== undefined || log.isWanted !== undefined) {
    const pages = pagesAfter(log, START);
    for (let page = await pages.next(); ; page = await pages.next()) {
      if (page.done === true) return { entries, next: page.value };
      entries = [...entries, ...page.value].slice(-count);
    }
  }
  const { params, query } = log;
  const { rows } = await log.client.getLogWindow({ params, query: { ...query, limit: 1 } });
  for (let row = Math.max(0, rows - count); row < rows; row += WINDOW_ROWS_MAX) {
    const limit = Math.min(WINDOW_ROWS_MAX, rows - row);
    const window = await log.client.getLogWindow({ params, query: { ...query, row, limit } });
    entries.push(...(await shown(log, window.entries)));
  }
  const last = entries.at(-1);
  if (last === undefined) return { entries, next: START };
  const lines = last.kind === "gap" ? last.count : 1;
  return { entries, next: `${last.attempt}:${last.line + lines}` };
}

/** The log of a run with the filters. @throws Failure `task-run-not-found` if the run has no such task run. */
async function logOf(
  { client, opener }: Pick<Log, "client" | "opener">,
  args: LogRequest,
  run: Run,
): Promise<Log> {
  const params = { runId: run.id };
  const { text, ...rest } = queryOf(args);
  const isSealed = text !== undefined && (await client.getMe()).workspace.sealed;
  const contains = text === undefined ? undefined : containing(text);
  const query = isSealed || text === undefined ? rest : { ...rest, text };
  const narrowed = { client, opener, params, query, ...(contains && { isWanted: contains }) };
  if (args.task === undefined) return narrowed;
  const mayCome = args.follow && !isFinalRunState(run.state);
  const found = await ofTask(client, { runId: run.id, written: args.task, mayCome });
  if ("path" in found) return { ...narrowed, query: { ...query, task: found.path } };
  const { isWanted } = found;
  const both = (entry: LogEntry) => isWanted(entry) && (contains === undefined || contains(entry));
  return { ...narrowed, isWanted: both };
}

/**
 * Searches here, because the control plane cannot search in sealed lines, and sends every line whose text is in the customer's store. Gaps
 * are kept, as the control plane does.
 */
function containing(text: string): (entry: LogEntry) => boolean {
  const wanted = searchable(text);
  return (entry) => entry.kind === "gap" || searchedText(entry).includes(wanted);
}

/** `towpath logs RUN`. @returns The exit code; with `--follow` that of the run's outcome. */
export async function printLogs(invocation: Invocation, args: LogRequest): Promise<number> {
  const connection = await invocation.connect();
  const { client } = connection;
  const params = { runId: await findRunId(client, args.id) };
  const run = await client.getRun({ params });
  const opener = storedOpener(connection, invocation.output);
  const log = await logOf({ client, opener }, args, run);
  let attempts = run.attempts > 1;
  const tail = args.tail === undefined ? null : await readTail(log, args.tail);
  printEntries(invocation, tail?.entries ?? [], attempts);
  let after = tail?.next ?? START;
  const readOn = async () => {
    const pages = pagesAfter(log, after);
    for (let page = await pages.next(); ; page = await pages.next()) {
      if (page.done === true) {
        after = page.value;
        return;
      }
      printEntries(invocation, page.value, attempts);
    }
  };
  if (!args.follow) {
    if (tail === null) await readOn();
    return EXIT.ok;
  }
  for await (const event of client.streamRun({ params, query: { log: "end" } })) {
    if (event.event === "run") attempts = event.data.attempts > 1;
    if (event.event === "log-end") await readOn();
  }
  await readOn();
  const ended = await client.getRun({ params });
  invocation.output.note(describeState(ended, invocation.output.style));
  return EXIT[exitOfState(ended.state)];
}
