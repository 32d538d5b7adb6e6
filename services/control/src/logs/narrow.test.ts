import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openTestApp } from "../app.fixture.ts";
import { runsRoutes } from "../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { getLogs, logsRoutes } from "./index.ts";
import { type LogPiece, runWithLogs } from "./log.fixture.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv, { retry: { limit: 3, delayMs: 0, causes: ["error"] } });
});
afterAll(() => testEnv.close());

const HOSTILE: LogPiece = [
  ["info", "\u001b[31mred\u001b[0m <img src=x onerror=alert(1)>"],
  ["debug", "nul \u0000, half \ud800, right \u202eto left\rback"],
  ["warn", "two\nlines, 'quotes', \\u0000 %"],
  ["error", "ÄÖ ß"],
];

const LOGS: readonly (readonly LogPiece[])[] = [[HOSTILE, 12, [["info", "a"]]], [[["error", "b"]]]];

describe("a log that is read from its beginning", () => {
  test("can be filtered by attempt and levels; gaps stay", async () => {
    const runId = await runWithLogs({ testEnv, tenancy }, LOGS);
    const read = async (filter: object) => {
      const page = await getLogs(testEnv.deps, tenancy.scope, { runId, after: "0:0", limit: 100, ...filter });
      expect(page.end).toBe(true);
      return page.entries.map((entry) => `${entry.attempt}:${entry.line}`);
    };
    expect(await read({ levels: ["error"] })).toEqual(["1:3", "1:4", "2:0"]);
    expect(await read({ attempt: 2 })).toEqual(["2:0"]);
    expect(await read({ attempt: 1, text: "A" })).toEqual(["1:0", "1:1", "1:16"]);
    expect(await read({ levels: ["info"], text: "a" })).toEqual(["1:0", "1:16"]);
  });

  test("is saved as a file without escape sequences, with its gaps", async () => {
    const runId = await runWithLogs({ testEnv, tenancy }, LOGS);
    const app = openTestApp({
      deps: testEnv.deps,
      slices: [runsRoutes, logsRoutes],
      identify: async () => ({ kind: "person", scope: tenancy.scope }),
    });
    const answer = await app.request(`/api/runs/${runId}/logs/file`);
    expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(answer.headers.get("content-disposition")).toMatch(
      /^attachment; filename="run-[0-9a-f]{8}\.log"$/,
    );
    expect((await answer.text()).split("\n")).toEqual([
      "#1 2026-01-15T12:00:00.000Z info red <img src=x onerror=alert(1)>",
      "#1 2026-01-15T12:00:00.000Z debug nul ·, half \ufffd, right ·to left·back",
      "#1 2026-01-15T12:00:00.000Z warn two",
      "lines, 'quotes', \\u0000 %",
      "#1 2026-01-15T12:00:00.000Z error ÄÖ ß",
      "#1 --- 12 lines are missing: too fast",
      "#1 2026-01-15T12:00:00.000Z info a",
      "#2 2026-01-15T12:00:00.000Z error b",
      "",
    ]);
    const errors = await app.request(`/api/runs/${runId}/logs/file?attempt=2&levels=error`);
    expect(await errors.text()).toBe("2026-01-15T12:00:00.000Z error b\n");
  });
});

test("the migration gives old chunks the same totals and searchable text as new ones", async () => {
  await runWithLogs({ testEnv, tenancy }, LOGS);
  const { db } = testEnv.deps.database;
  const answers = async () => [
    ...(await db.execute(sql`select attempt_id, first_line, levels, plain, debug_total, info_total, warn_total,
      error_total, gap_total from log_chunk order by 1, 2`)),
  ];
  const before = await answers();
  const migration = await readFile(new URL("../../migrations/0021_log_rows.sql", import.meta.url), "utf8");
  const statement = migration.split("--> statement-breakpoint")[1] ?? "";
  await db.execute(sql`update log_chunk set plain = case when plain is not null then 'stale' end, levels = 1,
    debug_total = 0, info_total = 0, warn_total = 0, error_total = 0, gap_total = 0`);
  await db.execute(sql.raw(statement));
  expect(await answers()).toEqual(before);
});
