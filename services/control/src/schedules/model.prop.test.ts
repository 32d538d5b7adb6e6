import { ScheduleSettings } from "@towpath/contract";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { Barge, said } from "../barge.fixture.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { runsDuties } from "../runs/index.ts";
import { openTenancy, openTown, START_MS, type Tenancy, type Town } from "../town.fixture.ts";
import { schedulesDuty } from "./duties.ts";
import { getSchedule, pauseSchedule, resumeSchedule, setSchedule } from "./schedules.ts";

let town: Town;
/** Other control planes over the same database and clock. */
let others: readonly TestDeps[] = [];
beforeAll(async () => {
  const database = await createTestDatabase();
  town = await openTown(database);
  const open = () => openTestDeps({ url: database.url, clock: town.clock });
  others = [await open(), await open()];
});
afterAll(async () => {
  for (const deps of others) await deps.close();
  await town?.close();
});

const MINUTE = 60_000;
const EVERY_MS = 10 * MINUTE;
const NIGHTLY = { name: "flow", schedule: "nightly" };

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
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

/** All control planes decide at the same time, until nothing is left. */
async function decide(): Promise<void> {
  for (let worked = true; worked; ) {
    const rounds = await Promise.all([town.deps, ...others].map((deps) => schedulesDuty.runOnce(deps)));
    worked = rounds.some((round) => round.worked);
  }
}

async function end(barge: Barge, runs: number): Promise<void> {
  for (const duty of runsDuties) if (duty.name === "due") await duty.runOnce(town.deps);
  const { assignments } = await barge.poll({ free: runs, waitMs: 20 });
  await barge.dispatchers.idle();
  for (const given of assignments) await barge.say(given, [said.started, said.ended("completed")]);
}

async function set({ scope }: Tenancy, policy: Partial<Extract<Step, { do: "set" }>>): Promise<void> {
  const { catchUp = "latest", overlap = "allow" } = policy;
  const anchor = new Date(START_MS).toISOString();
  const timing = { kind: "interval", everyMs: EVERY_MS, anchor } as const;
  const settings = ScheduleSettings.parse({ name: NIGHTLY.schedule, timing, catchUp, overlap });
  await setSchedule(town.deps, { scope, deployment: "flow", settings });
}

async function apply(one: Step, a: { tenancy: Tenancy; barge: Barge }): Promise<void> {
  const nightly = { scope: a.tenancy.scope, ...NIGHTLY };
  if (one.do === "pass") town.clock.advance(one.minutes * MINUTE);
  else if (one.do === "decide") await decide();
  else if (one.do === "end") await end(a.barge, one.runs);
  else if (one.do === "set") await set(a.tenancy, one);
  else await (one.is ? pauseSchedule : resumeSchedule)(town.deps, nightly);
}

/** The instants that have a run, as their runs say. */
async function dueOf({ scope }: Tenancy): Promise<number[]> {
  const rows = await town.deps.database.sql<{ due: string }[]>`
    select trigger ->> 'dueAt' as due from run where workspace_id = ${scope.workspaceId}`;
  return rows.map(({ due }) => Date.parse(due));
}

/** Every instant of the schedule's life up to now has a run or a recorded skip, and what is recorded is so. */
async function checkAllDecided(tenancy: Tenancy, fromMs: number): Promise<void> {
  const rows = await town.deps.database.sql<{ at: Date; until: Date | null; run_id: string | null }[]>`
    select at, until, run_id from schedule_instant where workspace_id = ${tenancy.scope.workspaceId}`;
  const first = START_MS + (Math.floor((fromMs - START_MS) / EVERY_MS) + 1) * EVERY_MS;
  for (let at = first; at <= town.clock.nowMs(); at += EVERY_MS) {
    const decided = rows.filter((row) => row.at.getTime() <= at && at <= (row.until ?? row.at).getTime());
    expect(decided, new Date(at).toISOString()).not.toEqual([]);
  }
  const recorded = rows.filter((row) => row.run_id !== null).map((row) => row.at.getTime());
  expect((await dueOf(tenancy)).toSorted()).toEqual(recorded.toSorted());
}

test("whatever happens, however many control planes decide: at most one run for an instant, and none without a run or a recorded reason", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (steps) => {
      const tenancy = await openTenancy(town);
      const barge = new Barge(town, await tenancy.worker());
      const fromMs = town.clock.nowMs();
      await set(tenancy, {});
      for (const one of steps) {
        await apply(one, { tenancy, barge });
        const due = await dueOf(tenancy);
        expect(new Set(due).size).toBe(due.length);
      }
      const nightly = { scope: tenancy.scope, ...NIGHTLY };
      await resumeSchedule(town.deps, nightly);
      // One that waits for its previous run has not decided yet what comes after it.
      for (let round = 0; round < 100; round++) {
        await end(barge, 50);
        await decide();
        const { nextAt } = await getSchedule(town.deps, nightly);
        if (nextAt !== null && Date.parse(nextAt) > town.clock.nowMs()) break;
      }
      await checkAllDecided(tenancy, fromMs);
    }),
    { numRuns: 12, endOnFailure: true },
  );
}, 300_000);
