import { createHash } from "node:crypto";
import {
  CreateBackfill,
  CreateNotifier,
  DEFAULTS,
  derivedId,
  JOB_TRANSITIONS,
  ScheduleSettings,
  SetLimit,
  uuidv7,
} from "@towpath/contract";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { FakeWorker, records } from "../../services/control/src/fake-worker.fixture.ts";
import type { Deps, PeriodicJob } from "../../services/control/src/kernel/index.ts";
import { createNotifier } from "../../services/control/src/notify/notifiers.ts";
import { cancelRun, createRun, getRun, setLimit } from "../../services/control/src/runs/index.ts";
import { question, startedIn } from "../../services/control/src/runs/waits/waiting-flow.fixture.ts";
import { createBackfill, listBackfills } from "../../services/control/src/schedules/backfills/backfills.ts";
import { setSchedule } from "../../services/control/src/schedules/schedules.ts";
import {
  openTenancy,
  openTestEnv,
  type Tenancy,
  type TestEnv,
} from "../../services/control/src/test-env.fixture.ts";
import { createTestDatabase } from "../harness/index.ts";
import { ALL_PERIODIC_JOBS, periodicJobOf, ROWLESS } from "./periodic-jobs.fixture.ts";

const DAY_MS = 24 * 3_600_000;

let testEnv: TestEnv;
let deps: Deps;
let logged: { periodicJob?: string; row?: string; level: number }[];
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase(), {
    checkpointRetentionMs: 30 * DAY_MS,
    notifyPrivate: true,
  });
  const log = pino({ level: "error" }, { write: (line) => void logged.push(JSON.parse(line)) });
  logged = [];
  deps = { ...testEnv.deps, log };
  await testEnv.deps.database.sql.unsafe(
    "create function poison() returns trigger language plpgsql as $$ begin raise exception 'poisoned'; end $$",
  );
});
afterEach(async () => {
  await mend();
  await testEnv.deps.database.sql`delete from poisoned_row`;
  await testEnv.deps.database.sql`delete from notifier`;
  logged = [];
});
afterAll(() => testEnv.close());

/** Where the poison row is, so that the test can repair it. */
let poisonedTable: string | null = null;

async function poison(table: string, args: { on: "insert" | "update"; when: string }): Promise<void> {
  poisonedTable = table;
  await testEnv.deps.database.sql.unsafe(
    `create trigger poison before ${args.on} on ${table} for each row when (${args.when}) execute function poison()`,
  );
}

async function mend(): Promise<void> {
  if (poisonedTable !== null)
    await testEnv.deps.database.sql.unsafe(`drop trigger poison on ${poisonedTable}`);
  poisonedTable = null;
}

/** A poison row and a sound row behind it, each of its own tenant, both due. */
interface Planted {
  /** The poison row. */
  readonly id: string;
  /** Where people see the poison row; null if nowhere. */
  readonly subjectId: string | null;
  /** Whether the job has handled the poison row and the sound row. */
  done(): Promise<{ poison: boolean; sound: boolean }>;
}

async function both<Value>(make: (tenancy: Tenancy) => Promise<Value>): Promise<[Value, Value]> {
  return [await make(await openTenancy(testEnv)), await make(await openTenancy(testEnv))];
}

interface Made {
  readonly tenancy: Tenancy;
  readonly id: string;
}

async function made(tenancy: Tenancy, over: Parameters<Tenancy["request"]>[0] = {}): Promise<Made> {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request(over));
  return { tenancy, id };
}

const stateOf = async ({ tenancy, id }: Made) =>
  (await getRun(testEnv.deps, tenancy.scope, { runId: id, from: testEnv.deps.database.db })).state;

const reach = (state: string, a: readonly [Made, Made]) => async () => ({
  poison: (await stateOf(a[0])) === state,
  sound: (await stateOf(a[1])) === state,
});

const cancelled = (one: Made) => cancelRun(testEnv.deps, one.tenancy.scope, { runId: one.id, reason: "" });

/** Runs that a worker has claimed and, by default, started. */
async function claimed(tenancy: Tenancy, args: { starts: boolean }) {
  const run = await made(tenancy);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  if (args.starts) await fakeWorker.report(given, [records.started]);
  await testEnv.deps.database.sql`update attempt set lost_after_ms = 0 where id = ${given.attemptId}`;
  return { ...run, attemptId: given.attemptId };
}

async function suspendedOn(
  tenancy: Tenancy,
  path: string,
  wait: Parameters<Awaited<ReturnType<typeof startedIn>>["ask"]>[1],
) {
  const flow = await startedIn(testEnv, tenancy);
  await flow.ask(path, wait);
  await flow.suspend([path]);
  return { tenancy, id: flow.id, waitId: await derivedId(flow.id, path) };
}

async function daily(tenancy: Tenancy) {
  const settings = ScheduleSettings.parse({ name: "daily", timing: { kind: "cron", cron: "0 0 * * *" } });
  await setSchedule(testEnv.deps, { scope: tenancy.scope, deployment: "flow", settings });
  const { workspaceId } = tenancy.scope;
  const [row] = await testEnv.deps.database.sql<{ id: string }[]>`
    select id from schedule where workspace_id = ${workspaceId}`;
  return { tenancy, id: row?.id ?? "" };
}

async function backfilled(tenancy: Tenancy) {
  await daily(tenancy);
  const request = CreateBackfill.parse({
    id: uuidv7(testEnv.clock.nowMs()),
    schedule: "daily",
    concurrency: 2,
    from: "2025-12-01T00:00:00.000Z",
    to: "2025-12-05T00:00:00.000Z",
  });
  const { id } = await createBackfill(testEnv.deps, { scope: tenancy.scope, deployment: "flow", request });
  return { tenancy, id: id ?? "" };
}

async function notified(tenancy: Tenancy, over: Partial<CreateNotifier> = {}) {
  const input = CreateNotifier.parse({ name: "oncall", url: "http://127.0.0.1:9/", ...over });
  await createNotifier(testEnv.deps, { scope: tenancy.scope, input });
}

async function failed(tenancy: Tenancy): Promise<Made> {
  const run = await made(tenancy);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started, records.ended("failed", { cause: "error" })]);
  return run;
}

/** Whether a table has a row for each of two ids. */
const areIn = (table: string, column: string, ids: readonly [string, string]) => async () => {
  const found = await testEnv.deps.database.sql.unsafe<{ id: string }[]>(
    `select distinct ${column}::text as id from ${table} where ${column} in ('${ids[0]}', '${ids[1]}')`,
  );
  const known = new Set(found.map(({ id }) => id));
  return { poison: known.has(ids[0]), sound: known.has(ids[1]) };
};

/** Plants a poison row in front of a sound one, for each job. */
const PLANTS: Readonly<Record<string, () => Promise<Planted>>> = {
  async due() {
    const at = new Date(testEnv.clock.nowMs() + 1_000).toISOString();
    const runs = await both((tenancy) => made(tenancy, { scheduledAt: at }));
    await testEnv.pass(2_000);
    await poison("run", { on: "update", when: `old.id = '${runs[0].id}'` });
    return { id: runs[0].id, subjectId: runs[0].id, done: reach("ready", runs) };
  },
  async expire() {
    const runs = await both((tenancy) => made(tenancy, { expireAfterMs: 1_000 }));
    await testEnv.pass(2_000);
    await poison("run", { on: "update", when: `old.id = '${runs[0].id}'` });
    return { id: runs[0].id, subjectId: runs[0].id, done: reach("failed", runs) };
  },
  async admit() {
    const lines = await both(async (tenancy) => {
      const input = SetLimit.parse({ kind: "pool", name: "local", slots: 1 });
      await setLimit(testEnv.deps, { scope: tenancy.scope, input });
      await made(tenancy);
      await made(tenancy);
      const [line] = await testEnv.deps.database.sql<{ id: string }[]>`
        update slot_line set look_at = ${new Date(testEnv.clock.nowMs())} where workspace_id = ${tenancy.scope.workspaceId}
        returning id`;
      return line?.id ?? "";
    });
    await poison("slot_line", { on: "update", when: `old.id = '${lines[0]}'` });
    const looked = async () => {
      const left = await areIn("(select id from slot_line where look_at is not null) l", "id", lines)();
      return { poison: !left.poison, sound: !left.sound };
    };
    return { id: lines[0], subjectId: null, done: looked };
  },
  async waits() {
    const flows = await both((tenancy) => suspendedOn(tenancy, "for", { kind: "for", ms: 60_000 }));
    await testEnv.pass(61_000);
    await poison("wait", { on: "update", when: `old.id = '${flows[0].waitId}'` });
    return { id: flows[0].waitId, subjectId: flows[0].id, done: reach("ready", flows) };
  },
  async jobs() {
    const callback = createHash("sha256").update("token").digest("hex");
    const job = { kind: "job", job: "spark", pollEveryMs: 30_000, cancels: true, callback } as const;
    const flows = await both((tenancy) => suspendedOn(tenancy, "job", job));
    await testEnv.deps.database.sql`
      update job set state = ${JOB_TRANSITIONS.submit.to[0]}, handle = '{}', submitted_at = created_at where run_id = any(${`{${flows.map(({ id }) => id).join(",")}}`}::uuid[])`;
    for (const flow of flows) await cancelled(flow);
    testEnv.clock.advance(DEFAULTS.jobCancelMs + 1_000);
    await poison("job", { on: "update", when: `old.id = '${flows[0].waitId}'` });
    return { id: flows[0].waitId, subjectId: flows[0].id, done: reach("cancelled", flows) };
  },
  async orphans() {
    const children = await both(async (tenancy) => {
      const [parent, child] = [await made(tenancy), await made(tenancy)];
      const { sql } = testEnv.deps.database;
      await sql`update run set parent_id = ${parent.id}, on_parent_end = 'cancel' where id = ${child.id}`;
      await sql`insert into orphaning values (${tenancy.scope.workspaceId}, ${parent.id}, now())`;
      return child;
    });
    await poison("run", { on: "update", when: `old.id = '${children[0].id}'` });
    return { id: children[0].id, subjectId: children[0].id, done: reach("cancelled", children) };
  },
  async lose() {
    const runs = await both((tenancy) => claimed(tenancy, { starts: true }));
    await testEnv.pass(3 * testEnv.deps.config.leaseMs);
    await poison("attempt", { on: "update", when: `old.id = '${runs[0].attemptId}'` });
    return { id: runs[0].attemptId, subjectId: runs[0].id, done: reach("crashed", runs) };
  },
  async lapse() {
    const runs = await both((tenancy) => claimed(tenancy, { starts: false }));
    await testEnv.pass(3 * testEnv.deps.config.leaseMs);
    await poison("attempt", { on: "update", when: `old.id = '${runs[0].attemptId}'` });
    return { id: runs[0].attemptId, subjectId: runs[0].id, done: reach("ready", runs) };
  },
  async archive() {
    const runs = await both((tenancy) => made(tenancy));
    for (const run of runs) await cancelled(run);
    await testEnv.pass(testEnv.deps.config.archiveAfterMs + 1_000);
    await poison("run_history", { on: "insert", when: `new.id = '${runs[0].id}'` });
    return {
      id: runs[0].id,
      subjectId: runs[0].id,
      done: areIn("run_history", "id", [runs[0].id, runs[1].id]),
    };
  },
  async "checkpoint-retention"() {
    const runs = await both((tenancy) => made(tenancy));
    for (const run of runs) await cancelled(run);
    await testEnv.pass(testEnv.deps.config.archiveAfterMs + 1_000);
    await periodicJobOf("archive").runOnce(deps);
    testEnv.clock.advance(31 * DAY_MS);
    await poison("run_history", { on: "update", when: `old.id = '${runs[0].id}'` });
    const deleted = "(select id from run_history where checkpoints_deleted_at is not null) d";
    return { id: runs[0].id, subjectId: runs[0].id, done: areIn(deleted, "id", [runs[0].id, runs[1].id]) };
  },
  async schedules() {
    const schedules = await both(daily);
    testEnv.clock.advance(DAY_MS);
    const [{ id }, { id: sound }] = schedules;
    await poison("schedule_instant", { on: "insert", when: `new.schedule_id = '${id}'` });
    return { id, subjectId: id, done: areIn("schedule_instant", "schedule_id", [id, sound]) };
  },
  async backfills() {
    const [{ id }, { id: sound }] = await both(backfilled);
    await poison("backfill_run", { on: "insert", when: `new.backfill_id = '${id}'` });
    return { id, subjectId: id, done: areIn("backfill_run", "backfill_id", [id, sound]) };
  },
  async notify() {
    const runs = await both(async (tenancy) => {
      await notified(tenancy, { events: ["failure"] });
      return failed(tenancy);
    });
    await testEnv.stamp();
    await poison("notifier_delivery", { on: "insert", when: `new.run_id = '${runs[0].id}'` });
    return {
      id: runs[0].id,
      subjectId: runs[0].id,
      done: areIn("notifier_delivery", "run_id", [runs[0].id, runs[1].id]),
    };
  },
  async "notify-late"() {
    const runs = await both(async (tenancy) => {
      await notified(tenancy, { events: ["late"], lateAfterMs: 60_000 });
      return made(tenancy);
    });
    testEnv.clock.advance(DAY_MS);
    await poison("notifier_delivery", { on: "insert", when: `new.run_id = '${runs[0].id}'` });
    return {
      id: runs[0].id,
      subjectId: runs[0].id,
      done: areIn("notifier_delivery", "run_id", [runs[0].id, runs[1].id]),
    };
  },
  async "notify-questions"() {
    const asking = await both(async (tenancy) => {
      await notified(tenancy, { events: ["question"] });
      return suspendedOn(tenancy, "ok", question);
    });
    const [{ id: runId, waitId }, sound] = asking;
    await poison("notifier_delivery", { on: "insert", when: `new.wait_id = '${waitId}'` });
    return {
      id: waitId,
      subjectId: runId,
      done: areIn("notifier_delivery", "wait_id", [waitId, sound.waitId]),
    };
  },
};

interface SetAside {
  readonly rowId: string;
  readonly subjectId: string | null;
  readonly failures: number;
}

const setAside = (job: string) =>
  testEnv.deps.database.sql<SetAside[]>`
    select row_id as "rowId", subject_id as "subjectId", failures from poisoned_row where job = ${job}`;

/** Milliseconds until a periodic job says that it has work. */
async function untilWork(periodicJob: PeriodicJob): Promise<number | null> {
  if (periodicJob.nextInMs === undefined) return null;
  const [row] = await testEnv.deps.database.db.execute<{ ms: number | null }>(periodicJob.nextInMs(deps));
  const value = row === undefined ? null : Object.values(row)[0];
  return value === null || value === undefined ? null : Number(value);
}

/** The job checks an expired lease repeatedly until its grace is over, so it always says that it has work. */
const ALWAYS_ASKED = ["lose", "lapse"];

describe("a row that cannot be handled is set aside, shown and tried again, and does not delay other rows", () => {
  // Jobs that send to addresses record failures in their own rows.
  const names = ALL_PERIODIC_JOBS.map(({ name }) => name).filter(
    (name) => !(name in ROWLESS) && name !== "notify-send",
  );

  test.each(names)("%s", async (name) => {
    const plant = PLANTS[name];
    if (plant === undefined)
      throw new TypeError(`Plant a poison row for ${name}, or say why none can poison it.`);
    const periodicJob = periodicJobOf(name);
    const { id, subjectId, done } = await plant();
    await periodicJob.runOnce(deps);
    expect(await done()).toEqual({ poison: false, sound: true });
    expect(await setAside(name)).toEqual([{ rowId: id, subjectId, failures: 1 }]);
    expect(logged).toEqual(expect.arrayContaining([expect.objectContaining({ periodicJob: name, row: id })]));

    // Nobody tries it again before its time, and no job says that it has work.
    await periodicJob.runOnce(deps);
    expect(await setAside(name)).toMatchObject([{ failures: 1 }]);
    if (!ALWAYS_ASKED.includes(name)) expect((await untilWork(periodicJob)) ?? 1).toBeGreaterThan(0);

    await testEnv.pass(5_001);
    await periodicJobOf("retry-rows").runOnce(deps);
    expect(await setAside(name)).toMatchObject([{ failures: 2 }]);
    await mend();
    await testEnv.pass(10_001);
    await periodicJobOf("retry-rows").runOnce(deps);
    expect(await done()).toEqual({ poison: true, sound: true });
    expect(await setAside(name)).toEqual([]);
  });

  test("every name in ROWLESS is a job", () => {
    const known = ALL_PERIODIC_JOBS.map(({ name }) => name);
    expect(Object.keys(ROWLESS).filter((name) => !known.includes(name))).toEqual([]);
    expect(Object.keys(PLANTS).filter((name) => !known.includes(name) || name in ROWLESS)).toEqual([]);
  });
});

test("a delivery that cannot be built counts as a failed try, and other deliveries are sent", async () => {
  const runs = await both(async (tenancy) => {
    await notified(tenancy, { events: ["failure"], kind: "slack" });
    return failed(tenancy);
  });
  await testEnv.stamp();
  await periodicJobOf("notify").runOnce(deps);
  const { sql } = testEnv.deps.database;
  await sql`update notifier_delivery set notice = 'null' where run_id = ${runs[0].id}`;
  await periodicJobOf("notify-send").runOnce(deps);
  const failureOf = async ({ id }: Made) =>
    (await sql<{ failure: string }[]>`select failure from notifier_delivery where run_id = ${id}`)[0]
      ?.failure;
  expect(await failureOf(runs[0])).toContain("could not make the message");
  expect(await failureOf(runs[1])).toMatch(/the connection was refused/);
});

test("a backfill whose parameters a newer version refuses says so, and other workspaces' backfills continue", async () => {
  const [refused, other] = await both(backfilled);
  await refused.tenancy.deploy("flow", {
    version: 2,
    parameters: { type: "object", properties: { day: { type: "string" } }, required: ["day"] },
  });
  await periodicJobOf("backfills").runOnce(deps);
  const shown = async ({ tenancy }: typeof other) =>
    (await listBackfills(testEnv.deps, { scope: tenancy.scope, limit: 10 })).items[0];
  expect(await shown(other)).toMatchObject({ created: 2, troubles: [] });
  expect(await shown(refused)).toMatchObject({
    state: "running",
    created: 0,
    troubles: [{ job: "backfills", failures: 1, message: expect.stringContaining("day") }],
  });
});
