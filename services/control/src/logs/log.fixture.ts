import type { LogLevel } from "@towpath/contract";
import { FakeWorker, type Said, said } from "../fake-worker.fixture.ts";
import { createRun } from "../runs/index.ts";
import type { Tenancy, TestEnv } from "../test-env.fixture.ts";

/** A piece of a log that a test has a worker report: lines with their levels, or how many lines were lost. */
export type LogPiece = readonly (readonly [level: LogLevel, text: string])[] | number;

const AT = "2026-01-15T12:00:00.000Z";

/** The records of a log, one a piece. */
export function recordsOfLog(pieces: readonly LogPiece[]): Said[] {
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
 * A run whose attempts have written these logs, each in as many reports as it has pieces. All but the last have failed;
 * the last has completed unless it is left open. The tenancy's spec must retry runs that fail.
 */
export async function runWithLogs(
  args: { testEnv: TestEnv; tenancy: Tenancy; open?: boolean },
  logs: readonly (readonly LogPiece[])[],
): Promise<string> {
  const { id } = await createRun(args.testEnv.deps, args.tenancy.scope, args.tenancy.request());
  const fakeWorker = new FakeWorker(args.testEnv, await args.tenancy.worker());
  for (const [index, pieces] of logs.entries()) {
    const given = await fakeWorker.take();
    await fakeWorker.say(given, [said.started]);
    for (const [at, record] of recordsOfLog(pieces).entries())
      await fakeWorker.say(given, [], { bulk: [record], bulkFrom: at + 1 });
    const isLast = index === logs.length - 1;
    if (isLast && args.open) continue;
    const lastBulkSeq = pieces.length;
    const end = isLast
      ? said.ended("completed", { lastBulkSeq })
      : said.ended("failed", { cause: "error", lastBulkSeq });
    await fakeWorker.say(given, [end], { from: 2 });
  }
  return id;
}
