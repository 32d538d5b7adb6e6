import { readFileSync } from "node:fs";
import { idFloor } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { getTableName, is, PgTable } from "#sql";
import { createTestDatabase } from "../../../test/harness/index.ts";
import * as deployments from "./deployments/table.ts";
import * as identity from "./identity/table.ts";
import { heartbeatPeriodicJob } from "./kernel/index.ts";
import * as kernel from "./kernel/table.ts";
import * as limits from "./limits/table.ts";
import * as logs from "./logs/table.ts";
import * as notify from "./notify/table.ts";
import * as pools from "./pools/table.ts";
import * as runs from "./runs/table.ts";
import * as schedules from "./schedules/table.ts";
import { LOOPS } from "./slices.ts";
import { openTenancy, openTestEnv, START_MS, type TestEnv } from "./test-env.fixture.ts";

const TABLES = [kernel, identity, pools, deployments, limits, runs, schedules, logs, notify]
  .flatMap((slice): unknown[] => Object.values(slice))
  .filter((value): value is PgTable => is(value, PgTable))
  .map(getTableName)
  .sort();

interface Bound {
  readonly table: string;
  readonly bound: string;
  /** The periodic job that deletes from it. Null: none is needed. */
  readonly periodicJob: string | null;
}

/** The rows of the documentation page. */
function readPage(): Bound[] {
  const page = readFileSync(new URL("../../../docs/reference/tables.md", import.meta.url), "utf8");
  return [...page.matchAll(/^\| `([a-z_]+)` \| ([^|]+) \| (?:`([a-z-]+)`)?[^|]*\|$/gm)].map(
    ([, table = "", bound = "", periodicJob]) => ({
      table,
      bound: bound.trim(),
      periodicJob: periodicJob ?? null,
    }),
  );
}

const PAGE = readPage();
const ALL = [heartbeatPeriodicJob, ...LOOPS];
const DAY_MS = 24 * 3_600_000;
const OLD = new Date(START_MS - 400 * DAY_MS).toISOString();
const OLD_ID = idFloor(START_MS - 400 * DAY_MS);

test("the page names what bounds every table of the schema, and no other table", () => {
  expect(PAGE.map(({ table }) => table).toSorted()).toEqual(TABLES);
  expect(PAGE.filter(({ bound }) => bound === "")).toEqual([]);
  const names = ALL.map(({ name }) => name);
  expect(PAGE.filter(({ periodicJob }) => periodicJob !== null && !names.includes(periodicJob))).toEqual([]);
});

let testEnv: TestEnv;
/** Ids of rows that other rows refer to. */
let known: Record<string, string>;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  const { scope } = await openTenancy(testEnv);
  const { sql } = testEnv.deps.database;
  const workspaceId = scope.workspaceId;
  const idOf = async (table: string) =>
    (await sql<{ id: string }[]>`select id from ${sql(table)} where workspace_id = ${workspaceId} limit 1`)[0]
      ?.id ?? "";
  known = {
    workspace_id: workspaceId,
    key_id: await idOf("access_key"),
    pool_id: await idOf("pool"),
    deployment_id: await idOf("deployment"),
  };
});
afterAll(() => testEnv.close());

type Values = Readonly<Record<string, unknown>>;

const BLANK: Readonly<Record<string, unknown>> = {
  text: "x",
  integer: 1,
  smallint: 1,
  bigint: 1,
  boolean: false,
  json: "{}",
  jsonb: "{}",
  "timestamp with time zone": OLD,
  ARRAY: "{}",
  bytea: Buffer.alloc(32),
};

/** Inserts a row as old as possible. Columns that are not in `values` get a value by their type. */
async function insertOld(table: string, values: Values): Promise<Values> {
  const { sql } = testEnv.deps.database;
  const asked = await sql<{ name: string; type: string }[]>`
    select column_name as name, data_type as type from information_schema.columns
    where table_name = ${table} and is_nullable = 'NO' and column_default is null and is_identity = 'NO' and is_generated = 'NEVER'`;
  const made = Object.fromEntries(
    asked.map(({ name, type }) => [
      name,
      known[name] ?? (type === "uuid" ? crypto.randomUUID() : BLANK[type]),
    ]),
  );
  const row = { ...made, ...values };
  const names = Object.keys(row);
  const places = names.map((_, index) => `$${index + 1}`).join(", ");
  await sql.unsafe(
    `insert into ${table} (${names.map((name) => `"${name}"`).join(", ")}) values (${places})`,
    Object.values(row) as never[],
  );
  return row;
}

/** For each table an old row that must be deleted, with the rows that it needs. */
const OLD_ROWS: Readonly<Record<string, () => Promise<unknown>>> = {
  presence: () => insertOld("presence", {}),
  change: () => insertOld("change", { position: 1, created_at: OLD }),
  poisoned_row: () => insertOld("poisoned_row", { job: "due" }),
  sign_in_link: () => insertOld("sign_in_link", {}),
  browser_session: () => insertOld("browser_session", {}),
  worker: () => insertOld("worker", { last_seen_at: OLD }),
  async deployment_version() {
    const { sql } = testEnv.deps.database;
    await sql`update deployment_version set registered_at = ${OLD}, version = 2 where deployment_id = ${known.deployment_id ?? ""}`;
    await sql`update deployment set latest_version = 2 where id = ${known.deployment_id ?? ""}`;
    await insertOld("deployment_version", { version: 1, registered_at: OLD });
  },
  slot_line: () => insertOld("slot_line", { key: "task empty" }),
  async slot_line_limit() {
    const limit = await insertOld("slot_limit", {
      kind: "named",
      name: "x",
      collision: "enqueue",
      source: "person",
    });
    const line = await insertOld("slot_line", { key: "task other" });
    await insertOld("slot_line_limit", { line_id: line.id, limit_id: limit.id });
  },
  run: () => endedRun(),
  async attempt() {
    const { id } = await endedRun();
    await insertOld("attempt", { run_id: id, state: "completed", ended_at: OLD });
  },
  async task_run() {
    const { id } = await endedRun();
    await insertOld("task_run", { run_id: id, state: "completed", ended_at: OLD });
  },
  run_history: () => insertOld("run_history", { state: "completed", ended_at: OLD }),
  attempt_history: () => insertOld("attempt_history", { state: "completed", ended_at: OLD }),
  task_run_history: () => insertOld("task_run_history", { state: "completed", ended_at: OLD }),
  run_key: () => insertOld("run_key", { ended_at: OLD }),
  async idempotency_key() {
    const { run_id } = await insertOld("run_key", { ended_at: OLD });
    await insertOld("idempotency_key", { run_id });
  },
  late_report: () => insertOld("late_report", {}),
  wait: () => insertOld("wait", { state: "satisfied", kind: "for", settled_at: OLD }),
  job: () => insertOld("job", { state: "ended", ended_at: OLD }),
  event: () => insertOld("event", {}),
  orphaning: () => insertOld("orphaning", {}),
  schedule_instant: () => insertOld("schedule_instant", { skipped: "overlap" }),
  backfill: () => insertOld("backfill", BACKFILL),
  async backfill_run() {
    const { id } = await insertOld("backfill", BACKFILL);
    await insertOld("backfill_run", { backfill_id: id });
  },
  log_chunk: () => insertOld("log_chunk", { attempt_id: OLD_ID, kind: "gap", reason: "lost" }),
  artifact: () => insertOld("artifact", { attempt_id: OLD_ID }),
  async notifier_delivery() {
    const { id } = await insertOld("notifier", {
      kind: "webhook",
      events: "{failure}",
      late_after_ms: 60_000,
    });
    await insertOld("notifier_delivery", { notifier_id: id, event: "failure", state: "sent" });
  },
};

const BACKFILL = {
  state: "completed",
  order: "oldest",
  ended_at: OLD,
  from_at: OLD,
  to_at: new Date(START_MS).toISOString(),
};

function endedRun(): Promise<Values> {
  return insertOld("run", { state: "completed", started_at: OLD, ended_at: OLD });
}

describe("old rows are deleted by the job that the page names", () => {
  const deleted = PAGE.flatMap(({ table, periodicJob }) =>
    periodicJob === null ? [] : [{ table, periodicJob }],
  );

  test.each(deleted)("$table, by $periodicJob", async ({ table, periodicJob }) => {
    const plant = OLD_ROWS[table];
    if (plant === undefined)
      throw new TypeError(`Insert an old row of ${table} here, so that its deletion is tested.`);
    const { sql } = testEnv.deps.database;
    const count = async () =>
      (await sql<{ count: number }[]>`select count(*)::int as count from ${sql(table)}`)[0]?.count;
    const job = ALL.find(({ name }) => name === periodicJob);
    // Its own new rows exist already.
    await job?.runOnce(testEnv.deps);
    const before = await count();
    await plant();
    expect(await count()).toBeGreaterThan(before ?? 0);
    for (let round = 0; round < 10; round++) if (!(await job?.runOnce(testEnv.deps))?.worked) break;
    expect(await count()).toBeLessThanOrEqual(before ?? 0);
  });
});
