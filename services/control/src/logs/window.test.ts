import { LOG_LEVELS, type LogEntry, type LogLevel } from "@towpath/contract";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { getLogs } from "./index.ts";
import { type LogPiece, runWithLogs } from "./log.fixture.ts";
import { getLogWindow } from "./window.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv, { retry: { limit: 3, delayMs: 0, causes: ["error"] } });
});
afterAll(() => testEnv.close());

const level = fc.constantFrom(...LOG_LEVELS);
const piece: fc.Arbitrary<LogPiece> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.array(fc.tuple(level, fc.string({ maxLength: 8 })), { minLength: 1, maxLength: 6 }),
  },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 2_000 }) },
);
const logs = fc.array(fc.array(piece, { maxLength: 8 }), { minLength: 1, maxLength: 3 });

const isShown = (
  entry: LogEntry,
  args: { attempt?: number | undefined; levels?: readonly LogLevel[] | undefined },
) =>
  (args.attempt === undefined || entry.attempt === args.attempt) &&
  (entry.kind === "gap" || args.levels === undefined || args.levels.includes(entry.level));

/** All entries of a log, from the route that reads it in order. */
async function everything(runId: string): Promise<LogEntry[]> {
  return (await getLogs(testEnv.deps, tenancy.scope, { runId, after: "0:0", limit: 5_000 })).entries;
}

test("a window has the entries of its rows, for any chunks, gaps, attempts and levels", async () => {
  await fc.assert(
    fc.asyncProperty(logs, fc.infiniteStream(fc.nat()), async (pieces, choice) => {
      const pick = (count: number) => choice.next().value % count;
      const runId = await runWithLogs({ testEnv, tenancy }, pieces);
      const all = await everything(runId);
      for (let round = 0; round < 8; round++) {
        const levels = pick(2) === 0 ? undefined : LOG_LEVELS.filter(() => pick(2) === 0);
        const filter = {
          ...(levels?.length ? { levels } : {}),
          ...(pick(2) === 0 ? { attempt: 1 + pick(pieces.length) } : {}),
        };
        const shown = all.filter((entry) => isShown(entry, filter));
        const [row, limit] = [pick(shown.length + 2), 1 + pick(12)];
        const window = await getLogWindow(testEnv.deps, tenancy.scope, { runId, ...filter, row, limit });
        expect(window).toMatchObject({ rows: shown.length, at: null, end: true });
        expect(window.entries).toEqual(shown.slice(window.first, window.first + limit));
        expect(window.first).toBe(Math.min(row, shown.length));
        const wanted = shown[pick(Math.max(1, shown.length))];
        if (wanted === undefined) continue;
        const at = `${wanted.attempt}:${wanted.line}`;
        const around = await getLogWindow(testEnv.deps, tenancy.scope, { runId, ...filter, at, limit });
        expect(around.at).toBe(shown.indexOf(wanted));
        expect(around.entries[(around.at ?? 0) - around.first]).toEqual(wanted);
      }
    }),
    { numRuns: 12, endOnFailure: true },
  );
});

describe("a window", () => {
  test("without a row shows the last rows, counts the levels, and says whether the log continues", async () => {
    const pieces: LogPiece[] = [
      [
        ["info", "one"],
        ["debug", "two"],
      ],
      3,
      [["error", "three"]],
    ];
    const open = await runWithLogs({ testEnv, tenancy, open: true }, [pieces]);
    const window = await getLogWindow(testEnv.deps, tenancy.scope, { runId: open, limit: 2 });
    expect(window).toMatchObject({ rows: 4, first: 2, end: false });
    expect(window.levels).toEqual({ debug: 1, info: 1, warn: 0, error: 1 });
    expect(window.entries).toMatchObject([
      { kind: "gap", line: 2, count: 3, reason: "too fast" },
      { kind: "line", line: 5, text: "three" },
    ]);
  });

  test("around a hidden line shows the next shown line", async () => {
    const lines: LogPiece = [
      ["warn", "a"],
      ["debug", "b"],
      ["warn", "c"],
    ];
    const runId = await runWithLogs({ testEnv, tenancy }, [[lines]]);
    const asked = { runId, at: "1:1", levels: ["warn" as const], limit: 10 };
    const window = await getLogWindow(testEnv.deps, tenancy.scope, asked);
    expect(window.entries[window.at ?? -1]).toMatchObject({ text: "c" });
  });

  test("has a gap for lines whose month was dropped", async () => {
    const runId = await runWithLogs({ testEnv, tenancy }, [[[["info", "x"]], [["info", "y"]]]]);
    await testEnv.deps.database.db.execute(sql`delete from log_chunk c using attempt a
      where a.id = c.attempt_id and a.run_id = ${runId} and c.first_line = 0`);
    const window = await getLogWindow(testEnv.deps, tenancy.scope, { runId, row: 0, limit: 10 });
    expect(window.entries).toMatchObject([
      { kind: "gap", line: 0, count: 1, reason: "no longer kept" },
      { kind: "line", line: 1, text: "y" },
    ]);
    await testEnv.deps.database.db.execute(sql`delete from log_chunk c using attempt a
      where a.id = c.attempt_id and a.run_id = ${runId}`);
    const none = await getLogWindow(testEnv.deps, tenancy.scope, { runId, row: 0, limit: 10 });
    expect(none).toMatchObject({ rows: 1, entries: [{ kind: "gap", line: 0, count: 2 }] });
  });

  test("of another workspace's run is refused like a run that does not exist", async () => {
    const runId = await runWithLogs({ testEnv, tenancy }, [[[["info", "mine"]]]]);
    const other = await openTenancy(testEnv);
    await expect(getLogWindow(testEnv.deps, other.scope, { runId, limit: 10 })).rejects.toMatchObject({
      code: "run-not-found",
    });
  });
});
