import type { LogLevel } from "@towpath/contract";
import { FakeWorker, type RecordBody, records } from "../fake-worker.fixture.ts";
import { createRun } from "../runs/index.ts";
import type { Tenancy, TestEnv } from "../test-env.fixture.ts";

/** A part of a reported log: lines with their levels, or a number of lost lines. */
export type LogPiece = readonly (readonly [level: LogLevel, text: string])[] | number;

const AT = "2026-01-15T12:00:00.000Z";

/** The records of a log, one for each piece. */
export function recordsOfLog(pieces: readonly LogPiece[]): RecordBody[] {
  let firstLine = 0;
  return pieces.map((piece) => {
    const first = firstLine;
    firstLine += typeof piece === "number" ? piece : piece.length;
    if (typeof piece === "number") return { type: "gap", firstLine: first, lines: piece, reason: "too fast" };
    const lines = piece.map(([level, text]) => ({ at: AT, level, stream: "log", text }));
    return { type: "log", firstLine: first, lines };
  });
}

/**
 * Creates a run whose attempts have these logs, with one report for each piece. All attempts but the last have failed. The
 * last one has completed, unless it stays open. The tenancy's spec must retry failed runs.
 */
export async function runWithLogs(
  args: { testEnv: TestEnv; tenancy: Tenancy; open?: boolean },
  logs: readonly (readonly LogPiece[])[],
): Promise<string> {
  const { id } = await createRun(args.testEnv.deps, args.tenancy.scope, args.tenancy.request());
  const fakeWorker = new FakeWorker(args.testEnv, await args.tenancy.worker());
  for (const [index, pieces] of logs.entries()) {
    const given = await fakeWorker.take();
    await fakeWorker.report(given, [records.started]);
    for (const [at, record] of recordsOfLog(pieces).entries())
      await fakeWorker.report(given, [], { bulk: [record], bulkFrom: at + 1 });
    const isLast = index === logs.length - 1;
    if (isLast && args.open) continue;
    const lastBulkSeq = pieces.length;
    const end = isLast
      ? records.ended("completed", { lastBulkSeq })
      : records.ended("failed", { cause: "error", lastBulkSeq });
    await fakeWorker.report(given, [end], { from: 2 });
  }
  return id;
}
