import { ScheduleSettings } from "@towpath/contract";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { runsPeriodicJobs } from "../runs/index.ts";
import { sign, specOf } from "../spec.fixture.ts";
import { openTenancy, openTestEnv, START_MS, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { schedulesPeriodicJob } from "./periodic-jobs.ts";
import { deleteSchedule, listSchedules, pauseSchedule, resumeSchedule, setSchedule } from "./schedules.ts";
import { registerVersion } from "./seed.ts";
import { instantsAfter } from "./timing/recurrence.ts";
import { instantsOf } from "./timing/timing.ts";

let testEnv: TestEnv;
/** Other control planes over the same database and clock. */
let others: readonly TestDeps[] = [];
beforeAll(async () => {
  const database = await createTestDatabase();
  testEnv = await openTestEnv(database);
  const open = () => openTestDeps({ url: database.url, clock: testEnv.clock });
  others = [await open(), await open()];
});
afterAll(async () => {
  for (const deps of others) await deps.close();
  await testEnv?.close();
});

const MINUTE = 60_000;
const NIGHTLY = { name: "flow", schedule: "nightly" };
/** The schedule that deployments define. */
const CODED = "coded";

const ANCHOR = new Date(START_MS).toISOString();
const interval = (minutes: number) =>
  ({ kind: "interval", everyMs: minutes * MINUTE, anchor: ANCHOR }) as const;
/** Timings, two of which have the same instants or many in common. */
const TIMINGS = [
  interval(10),
  interval(15),
  { kind: "cron", cron: "*/20 9-18 * * *", zone: "Europe/Berlin" },
  { kind: "cron", cron: "*/20 9-18 * * *", zone: "America/St_Johns" },
  interval(7),
] as const;
type RuleNumber = number;
const timingOf = (rule: RuleNumber) => TIMINGS[rule] ?? TIMINGS[0];

const does = <const What extends string>(what: What) => ({ do: fc.constant(what) });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ ...does("pass"), minutes: fc.integer({ min: 1, max: 120 }) }) },
  { weight: 6, arbitrary: fc.record(does("decide")) },
  { weight: 2, arbitrary: fc.record({ ...does("end"), runs: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ ...does("pause"), is: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      ...does("set"),
      catchUp: fc.constantFrom("none" as const, "latest" as const, "all" as const),
      overlap: fc.constantFrom("allow" as const, "skip" as const, "wait" as const, "cancel-running" as const),
    }),
  },
  // People and deployments edit rules. Deployments also remove a schedule and restore it.
  { weight: 2, arbitrary: fc.record({ ...does("edit"), rule: fc.nat({ max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ ...does("deploy"), rule: fc.option(fc.nat({ max: 4 })) }) },
  { weight: 1, arbitrary: fc.record({ ...does("delete") }) },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

/** All control planes decide at the same time, until nothing is left. */
async function decide(): Promise<void> {
  for (let worked = true; worked; ) {
    const rounds = await Promise.all(
      [testEnv.deps, ...others].map((deps) => schedulesPeriodicJob.runOnce(deps)),
    );
    worked = rounds.some((round) => round.worked);
  }
}

async function end(fakeWorker: FakeWorker, runs: number): Promise<void> {
  for (const periodicJob of runsPeriodicJobs)
    if (periodicJob.name === "due") await periodicJob.runOnce(testEnv.deps);
  const { assignments } = await fakeWorker.poll({ free: runs, waitMs: 20 });
  await fakeWorker.dispatchers.idle();
  for (const given of assignments)
    await fakeWorker.report(given, [records.started, records.ended("completed")]);
}

/** A rule, and the span in which it was valid. */
interface Stood {
  readonly rule: RuleNumber;
  readonly fromMs: number;
  untilMs: number | null;
}

/** The settings of the schedules in a history, and which rules were valid when. */
class Spoken {
  readonly tenancy: Tenancy;
  readonly stood = new Map<string, Stood[]>([
    [NIGHTLY.schedule, []],
    [CODED, []],
  ]);
  #policy: Pick<ScheduleSettings, "catchUp" | "overlap"> = { catchUp: "latest", overlap: "allow" };
  #version = 1;

  constructor(tenancy: Tenancy) {
    this.tenancy = tenancy;
  }

  ruleNow(name: string): RuleNumber | null {
    const last = this.stood.get(name)?.at(-1);
    return last === undefined || last.untilMs !== null ? null : last.rule;
  }

  async set(policy: Pick<ScheduleSettings, "catchUp" | "overlap">): Promise<void> {
    const { catchUp, overlap } = policy;
    this.#policy = { catchUp, overlap };
    await this.edit(this.ruleNow(NIGHTLY.schedule) ?? 0);
  }

  async edit(rule: RuleNumber): Promise<void> {
    const settings = this.#settings(NIGHTLY.schedule, rule);
    await setSchedule(testEnv.deps, { scope: this.tenancy.scope, deployment: "flow", settings });
    this.#stands(NIGHTLY.schedule, rule);
  }

  async deploy(rule: RuleNumber | null): Promise<void> {
    this.#version += 1;
    const { scope } = this.tenancy;
    const spec = specOf(scope.workspaceId, {
      deployment: "flow",
      version: this.#version,
      parameters: { type: "object" },
      schedules: rule === null ? [] : [this.#settings(CODED, rule)],
    });
    await registerVersion(testEnv.deps, { scope, jws: await sign(spec) });
    this.#stands(CODED, rule);
  }

  async delete(): Promise<void> {
    await deleteSchedule(testEnv.deps, { scope: this.tenancy.scope, ...NIGHTLY });
    this.#stands(NIGHTLY.schedule, null);
  }

  #settings(name: string, rule: RuleNumber): ScheduleSettings {
    return ScheduleSettings.parse({ name, timing: timingOf(rule), ...this.#policy });
  }

  #stands(name: string, rule: RuleNumber | null): void {
    const all = this.stood.get(name);
    const nowMs = testEnv.clock.nowMs();
    if (this.ruleNow(name) === rule) return;
    const last = all?.at(-1);
    if (last !== undefined) last.untilMs ??= nowMs;
    if (rule !== null) all?.push({ rule, fromMs: nowMs, untilMs: null });
  }
}

async function apply(one: Step, args: { spoken: Spoken; fakeWorker: FakeWorker }): Promise<void> {
  const { spoken } = args;
  const nightly = { scope: spoken.tenancy.scope, ...NIGHTLY };
  const isThere = spoken.ruleNow(NIGHTLY.schedule) !== null;
  if (one.do === "pass") testEnv.clock.advance(one.minutes * MINUTE);
  else if (one.do === "decide") await decide();
  else if (one.do === "end") await end(args.fakeWorker, one.runs);
  else if (one.do === "set") await spoken.set(one);
  else if (one.do === "edit") await spoken.edit(one.rule);
  else if (one.do === "deploy") await spoken.deploy(one.rule);
  else if (one.do === "delete") await spoken.delete();
  else if (isThere) await (one.is ? pauseSchedule : resumeSchedule)(testEnv.deps, nightly);
}

/** The instants that have a run, each with its schedule. */
async function dueOf({ scope }: Tenancy): Promise<string[]> {
  const rows = await testEnv.deps.database.sql<{ due: string }[]>`
    select trigger ->> 'schedule' || ' ' || (trigger ->> 'dueAt') as due from run
    where workspace_id = ${scope.workspaceId}`;
  return rows.map(({ due }) => due);
}

/** Checks that every instant up to now of every valid rule has a run or a recorded skip, and that all records are right. */
async function checkAllDecided({ tenancy, stood }: Spoken): Promise<void> {
  const rows = await testEnv.deps.database.sql<{ at: Date; until: Date | null; run_id: string | null }[]>`
    select at, until, run_id from schedule_instant where workspace_id = ${tenancy.scope.workspaceId}`;
  for (const { rule, fromMs, untilMs } of [...stood.values()].flat())
    for (const at of instantsAfter(
      instantsOf({ timing: timingOf(rule), startsAt: null, endsAt: null }),
      fromMs,
    )) {
      if (at > (untilMs ?? testEnv.clock.nowMs())) break;
      const decided = rows.filter((row) => row.at.getTime() <= at && at <= (row.until ?? row.at).getTime());
      expect(decided, new Date(at).toISOString()).not.toEqual([]);
    }
  const recorded = rows.filter((row) => row.run_id !== null).map((row) => row.at.toISOString());
  const due = (await dueOf(tenancy)).map((one) => one.split(" ")[1]);
  expect(due.toSorted()).toEqual(recorded.toSorted());
}

/** Resumes and decides until nothing waits: a schedule that waits for its previous run has not decided later instants. */
async function decideRest(spoken: Spoken, fakeWorker: FakeWorker): Promise<void> {
  const { scope } = spoken.tenancy;
  if (spoken.ruleNow(NIGHTLY.schedule) !== null) await resumeSchedule(testEnv.deps, { scope, ...NIGHTLY });
  for (let round = 0; round < 100; round++) {
    await end(fakeWorker, 50);
    await decide();
    const { items } = await listSchedules(testEnv.deps, { scope, limit: 10 });
    if (items.every(({ nextAt }) => nextAt === null || Date.parse(nextAt) > testEnv.clock.nowMs())) break;
  }
}

test("whatever happens and however many control planes decide: an instant has at most one run, and without a run it has a recorded reason", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (steps) => {
      const tenancy = await openTenancy(testEnv);
      const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
      const spoken = new Spoken(tenancy);
      await spoken.edit(0);
      for (const one of steps) {
        await apply(one, { spoken, fakeWorker });
        const due = await dueOf(tenancy);
        expect(new Set(due).size).toBe(due.length);
      }
      await decideRest(spoken, fakeWorker);
      await checkAllDecided(spoken);
    }),
    { numRuns: 12, endOnFailure: true },
  );
}, 300_000);
