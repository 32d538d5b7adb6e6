import { expect } from "vitest";
import { type FakeWorker, type RecordBody, readLog, records } from "../../fake-worker.fixture.ts";
import type { Tenancy, TestEnv } from "../../test-env.fixture.ts";

/** How a worker sends what it has journaled. */
export const SENDINGS = ["in order", "all again", "with a hole", "and hears nothing"] as const;

/** What a flow of a history says, and how its worker passes it on. */
export interface LogStep {
  readonly lines: number;
  /** Lines of before that the record holds once more: it was cut anew. */
  readonly back: number;
  /** Numbers that are left out before it. */
  readonly skip: number;
  /** Whether the journal was full: the lines themselves are dropped. */
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

/** What the worker has written down of one claim. */
interface Journal {
  readonly records: RecordBody[];
  /** The claim's lines by their numbers; null where there is none to read. */
  readonly lines: (string | null)[];
  /** After how many lines each record ends. */
  readonly ends: number[];
  /** Up to which record the worker has heard that they are stored; and up to which they are. */
  heard: number;
  stored: number;
}

/**
 * The model's memory of what flows have said: every line that was acknowledged is read in order and once, or an explicit gap replaces
 * it, however its records were repeated, cut anew, dropped or sent in the wrong order.
 */
export class LogModel {
  readonly #tenancy: Tenancy;
  /** By claim. A journal stays on its worker's disk. */
  readonly #journals = new Map<string, Journal>();
  /** By attempt, what its log must say. */
  readonly #logs = new Map<string, Claim & { readonly lines: (string | null)[] }>();

  constructor(tenancy: Tenancy) {
    this.#tenancy = tenancy;
  }

  /** How many records a claim's journal has: what an end announces. */
  count(claim: Claim): number {
    return this.#journals.get(claimKey(claim))?.records.length ?? 0;
  }

  /** A flow says something, and its worker reports it. */
  async log(fakeWorker: FakeWorker, claim: Claim, { sent, ...step }: LogStep): Promise<void> {
    const journal = this.#journalOf(claim);
    write(journal, claim, step);
    await this.#report(fakeWorker, claim, sent);
  }

  /** A worker sends what is left of a claim, as it does when its attempt has ended. */
  async rest(fakeWorker: FakeWorker, claim: Claim): Promise<void> {
    if (this.count(claim) > 0) await this.#report(fakeWorker, claim, "in order");
  }

  /** What every log says is what was acknowledged, read in pages of so many entries. */
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
    // Of one that was stopped before its start, nothing more is taken.
    if (rejected.length > 0) expect(answer.outcome).not.toBeNull();
    const kept = Math.min(bulkAcked, ...rejected.map(({ seq }) => seq - 1));
    // What a hole precedes is not taken before the hole is filled.
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

/** Writes one record of lines, or that they were dropped, behind the others. */
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
