import { expect } from "vitest";
import { type FakeWorker, type RecordBody, readLog, records } from "../../fake-worker.fixture.ts";
import type { Tenancy, TestEnv } from "../../test-env.fixture.ts";

/** How a worker sends its journal. */
export const SENDINGS = ["in order", "all again", "with a hole", "and hears nothing"] as const;

/** Log lines of a flow in a history, and how its worker sends them. */
export interface LogStep {
  readonly lines: number;
  /** Earlier lines that the record repeats, because the worker cut its lines differently. */
  readonly back: number;
  /** How many line numbers are missing before it. */
  readonly skip: number;
  /** Whether the journal was full. Then the lines are dropped. */
  readonly dropped: boolean;
  readonly sent: (typeof SENDINGS)[number];
}

interface Claim {
  readonly runId: string;
  readonly attemptId: string;
  readonly epoch: number;
  readonly nonce: string;
  readonly ordinal: number;
}

/** The worker's journal of one claim. */
interface Journal {
  readonly records: RecordBody[];
  /** The claim's lines by their numbers. Null: the line is missing or dropped. */
  readonly lines: (string | null)[];
  /** The number of lines up to the end of each record. */
  readonly ends: number[];
  /** The number of records that the worker knows to be stored, and the number that is stored. */
  heard: number;
  stored: number;
}

/**
 * The model's memory of log lines. Readers get each acknowledged line once and in order, or an explicit gap. This holds even
 * if records were repeated, cut differently, dropped or sent in the wrong order.
 */
export class LogModel {
  readonly #tenancy: Tenancy;
  /** By claim. A journal stays on its worker's disk. */
  readonly #journals = new Map<string, Journal>();
  /** The expected log of each attempt. */
  readonly #logs = new Map<string, Claim & { readonly lines: (string | null)[] }>();

  constructor(tenancy: Tenancy) {
    this.#tenancy = tenancy;
  }

  /** The number of records in a claim's journal. The record of the end contains it. */
  count(claim: Claim): number {
    return this.#journals.get(claimKey(claim))?.records.length ?? 0;
  }

  /** A flow writes log lines, and its worker reports them. */
  async log(fakeWorker: FakeWorker, claim: Claim, { sent, ...step }: LogStep): Promise<void> {
    const journal = this.#journalOf(claim);
    write(journal, claim, step);
    await this.#report(fakeWorker, claim, sent);
  }

  /** A worker sends the remaining records of a claim, as after the end of its attempt. */
  async rest(fakeWorker: FakeWorker, claim: Claim): Promise<void> {
    if (this.count(claim) > 0) await this.#report(fakeWorker, claim, "in order");
  }

  /** Checks that every log contains exactly the acknowledged lines, read in pages of `page` entries. */
  async check(testEnv: TestEnv, page: number): Promise<void> {
    const { scope } = this.#tenancy;
    for (const [runId, attempts] of Map.groupBy(this.#logs.values(), (one) => one.runId)) {
      const read = await readLog(testEnv, { scope, runId, page });
      const withLines = attempts.filter(({ lines }) => lines.length > 0);
      expect(Object.fromEntries(read)).toEqual(
        Object.fromEntries(withLines.map(({ ordinal, lines }) => [ordinal, lines])),
      );
    }
  }

  async #report(fakeWorker: FakeWorker, claim: Claim, sent: LogStep["sent"]): Promise<void> {
    const journal = this.#journalOf(claim);
    const from = sent === "all again" ? 0 : journal.heard + (sent === "with a hole" ? 1 : 0);
    const bulk = journal.records.slice(from);
    const answer = await fakeWorker.report(claim, [], { bulk, bulkFrom: from + 1 });
    const { bulkAcked, rejected } = answer;
    if (answer.status === "stale") return;
    // An attempt that was stopped before its start accepts no more records.
    if (rejected.length > 0) expect(answer.outcome).not.toBeNull();
    const kept = Math.min(bulkAcked, ...rejected.map(({ seq }) => seq - 1));
    // Records after a hole are not accepted before the hole is filled.
    expect(bulkAcked).toBe(
      from <= journal.stored ? Math.max(journal.stored, from + bulk.length) : journal.stored,
    );
    const [before, after] = [journal.ends[journal.stored - 1] ?? 0, journal.ends[kept - 1] ?? 0];
    this.#logOf(claim).lines.push(...journal.lines.slice(before, Math.max(before, after)));
    journal.stored = bulkAcked;
    if (sent !== "and hears nothing") journal.heard = bulkAcked;
  }

  #journalOf(claim: Claim): Journal {
    const known = this.#journals.get(claimKey(claim));
    if (known !== undefined) return known;
    const made = { records: [], lines: [], ends: [], heard: 0, stored: 0 };
    this.#journals.set(claimKey(claim), made);
    return made;
  }

  #logOf(claim: Claim) {
    const log = this.#logs.get(claim.attemptId) ?? { ...claim, lines: [] };
    this.#logs.set(claim.attemptId, log);
    return log;
  }
}

function claimKey({ attemptId, epoch }: Claim): string {
  return `${attemptId} ${epoch}`;
}

/** Appends one record of lines to the journal, or one gap if they were dropped. */
function write(journal: Journal, claim: Claim, { lines, back, skip, dropped }: Omit<LogStep, "sent">): void {
  const { lines: known } = journal;
  const first = Math.max(0, known.length - (skip > 0 ? 0 : back)) + skip;
  while (known.length < first) known.push(null);
  const before = known.slice(first);
  const texts = Array.from(
    { length: lines },
    (_, index) => `${claimKey(claim)}: line ${known.length + index}`,
  );
  if (dropped) {
    journal.records.push({ type: "gap", firstLine: first, lines: before.length + lines, reason: "full" });
    known.push(...texts.map(() => null));
  } else {
    journal.records.push(records.log(first, [...before.map((text) => text ?? "dropped"), ...texts]));
    known.push(...texts);
  }
  journal.ends.push(known.length);
}
