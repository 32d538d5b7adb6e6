import { closeSync, openSync, writeSync } from "node:fs";
import type { Json } from "@towpath/contract";
import type { RunFacts } from "../engine/host.ts";
import type { RecordDraft, RecordSink } from "../engine/records.ts";
import { type RunnableFlow, runFlowIn } from "../engine/run-flow.ts";
import { localFacts, localHost } from "../engine/run-here.ts";
import { fileStore } from "../store/file-store.ts";
import { answeredLater, readLines } from "./answered-later.ts";
import { checkpointsOf } from "./told.ts";

/** One attempt of a run whose records go to a file. */
export interface JournalledAttempt {
  readonly facts: Pick<RunFacts, "runId" | "scheduledAt" | "attempt">;
  readonly parameters: unknown;
  /** Path of the file with the records of earlier attempts. This attempt resumes from them. */
  readonly journal: string;
  /** The store: a `file:` URL. */
  readonly store: string;
  /** Answers to waits, from the attempt after the one that starts the wait: by a question's title or an event's name. */
  readonly answers: { readonly [name: string]: Json };
  /** When this process kills itself; null lets it end. */
  readonly kill: Kill | null;
}

/** When a process kills itself: at its nth completed task, before or after the record is written. */
export interface Kill {
  readonly completed: number;
  readonly held: boolean;
}

/** A record of an attempt, as an entry of the journal. */
export type JournalLine = { readonly attempt: number; readonly record: RecordDraft };

/** The entries of a journal; none if there is no file. An incomplete last entry is skipped. */
export function readJournal(path: string): JournalLine[] {
  return readLines(path);
}

/** Writes each record at once, so that it survives the process. */
function journalInto(file: number, { facts, kill }: JournalledAttempt): RecordSink {
  let completed = 0;
  const write = (record: RecordDraft) => {
    const isNext = record.type === "task" && record.move === "complete";
    if (isNext) completed += 1;
    const isLast = kill !== null && isNext && completed === kill.completed;
    if (isLast && !kill.held) process.kill(process.pid, "SIGKILL");
    writeSync(file, `${JSON.stringify({ attempt: facts.attempt, record } satisfies JournalLine)}\n`);
    if (isLast) process.kill(process.pid, "SIGKILL");
  };
  const post = async (record: RecordDraft) => write(record);
  return { post, postHeld: post, postStored: post, postLog: write };
}

/**
 * Runs one attempt of a flow in this process, for `towpath chaos`. It resumes from the journal, and kills the process
 * as asked.
 */
export async function runJournalled(flow: RunnableFlow, attempt: JournalledAttempt): Promise<string> {
  const { parameters } = attempt;
  const attempts = Map.groupBy(readJournal(attempt.journal), (line) => line.attempt);
  const items = [...attempts.values()].flatMap((lines) => checkpointsOf(lines.map(({ record }) => record)));
  const file = openSync(attempt.journal, "a", 0o600);
  const facts = { ...localFacts(flow.name), ...attempt.facts };
  const records = journalInto(file, attempt);
  const cancelled = new AbortController().signal;
  const resume = {
    origin: facts.runId,
    codeVersions: {},
    code: null,
    earlier: items.length > 0 ? async () => ({ items, next: null }) : null,
    keeps: true,
  };
  try {
    const host = localHost(flow.name, { parameters, records, cancelled, facts });
    const waits = answeredLater(host.waits, { ...attempt, attempt: facts.attempt });
    return (await runFlowIn(flow, { ...host, store: fileStore(attempt.store), resume, waits })).outcome;
  } finally {
    closeSync(file);
  }
}
