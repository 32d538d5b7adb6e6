import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { cancelRun } from "../runs/index.ts";
import { openTestEnv, type TestEnv } from "../test-env.fixture.ts";
import {
  deleteSchedule,
  getSchedule,
  listUpcoming,
  pauseSchedule,
  previewSchedule,
  resumeSchedule,
} from "./schedules.ts";
import { decideAllOf, HOUR, hourly, settingOf } from "./setting.fixture.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const decideAll = () => decideAllOf(testEnv);
const setting = () => settingOf(testEnv);
const nowIso = (hours = 0) => new Date(testEnv.clock.nowMs() + hours * HOUR).toISOString();

describe("a schedule that is changed", () => {
  test("continues where it was if its timing is the same", async () => {
    const a = await setting();
    await a.set({});
    testEnv.clock.advance(2 * HOUR);
    await a.set({ tags: ["new"] });
    await decideAll();
    expect(await a.instants()).toHaveLength(2);
  });

  test("starts anew if its timing changes, once the instants that were due are decided", async () => {
    const a = await setting();
    await a.set({ catchUp: "all" });
    testEnv.clock.advance(2 * HOUR);
    await a.set({ timing: { ...hourly, everyMs: HOUR / 2 } });
    expect(await a.instants()).toEqual([
      [nowIso(-1), null, null],
      [nowIso(), null, null],
    ]);
    expect((await a.runs()).map((run) => run.trigger)).toMatchObject([
      { kind: "schedule", dueAt: nowIso(-1), intervalStart: nowIso(-2) },
      { kind: "schedule", dueAt: nowIso(), intervalStart: nowIso(-1) },
    ]);
    await decideAll();
    expect(await a.instants()).toHaveLength(2);
    expect((await getSchedule(testEnv.deps, a.nightly)).nextAt).toBe(nowIso(0.5));
  });

  test("records the instants that its policy skips when its bounds or rule change", async () => {
    const a = await setting();
    await a.set({ catchUp: "none" });
    testEnv.clock.advance(2.5 * HOUR);
    await a.set({ endsAt: nowIso(10) });
    expect(await a.instants()).toEqual([[nowIso(-1.5), nowIso(-0.5), "catch-up"]]);
    await a.set({ timing: { kind: "cron", cron: "0 * * * *", zone: "Europe/Berlin" } });
    testEnv.clock.advance(0.5 * HOUR);
    await a.set({ timing: { kind: "cron", cron: "0 * * * *", zone: "Asia/Kolkata" } });
    expect((await a.instants()).at(-1)).toEqual([nowIso(), null, null]);
  });

  test("records the instant that waits for its previous run", async () => {
    const a = await setting();
    await a.set({ overlap: "wait" });
    testEnv.clock.advance(HOUR);
    await decideAll();
    testEnv.clock.advance(HOUR);
    await decideAll();
    await a.set({ overlap: "wait", timing: { ...hourly, everyMs: HOUR / 2 } });
    expect(await a.instants()).toEqual([
      [nowIso(-1), null, null],
      [nowIso(), null, "overlap"],
    ]);
    testEnv.clock.advance(HOUR / 2);
    const [run] = await a.runs();
    await cancelRun(testEnv.deps, a.scope, { runId: run?.id ?? "", reason: "" });
    await decideAll();
    expect((await a.instants()).at(-1)).toEqual([nowIso(), null, null]);
  });

  test("records instants that could not be decided as skipped, and keeps nothing of the attempt", async () => {
    const a = await setting();
    await a.set({ catchUp: "all" });
    testEnv.clock.advance(2 * HOUR);
    const { sql } = testEnv.deps.database;
    await sql.unsafe(`create function fail_run() returns trigger language plpgsql as $$ begin raise 'poison'; end $$;
      create trigger fail_run after insert on run for each row
        when (new.workspace_id = '${a.scope.workspaceId}') execute function fail_run()`);
    await a.set({ timing: { ...hourly, everyMs: HOUR / 2 } });
    await sql.unsafe("drop function fail_run cascade");
    expect(await a.instants()).toEqual([[nowIso(-1), nowIso(), "catch-up"]]);
    expect(await a.runs()).toEqual([]);
    const changes =
      await sql`select from change where workspace_id = ${a.scope.workspaceId} and run_id is not null`;
    expect(changes).toHaveLength(0);
    expect((await getSchedule(testEnv.deps, a.nightly)).nextAt).toBe(nowIso(0.5));
    testEnv.clock.advance(HOUR / 2);
    await decideAll();
    expect((await a.instants()).at(-1)).toEqual([nowIso(), null, null]);
  });

  test("records undecided due instants when it is paused, or deleted while paused", async () => {
    const a = await setting();
    await a.set({});
    testEnv.clock.advance(HOUR);
    await pauseSchedule(testEnv.deps, a.nightly);
    expect(await a.instants()).toEqual([[nowIso(), null, "paused"]]);
    testEnv.clock.advance(HOUR);
    await a.set({ timing: { ...hourly, everyMs: HOUR / 2 } });
    expect(await a.instants()).toHaveLength(2);
    testEnv.clock.advance(HOUR / 2);
    await resumeSchedule(testEnv.deps, a.nightly);
    expect((await a.instants()).slice(1)).toEqual([
      [nowIso(-0.5), null, "paused"],
      [nowIso(), null, "paused"],
    ]);
    expect(await a.runs()).toEqual([]);
    testEnv.clock.advance(HOUR / 2);
    await deleteSchedule(testEnv.deps, a.nightly);
    const { workspaceId } = a.scope;
    const [{ count } = { count: 0 }] = await testEnv.deps.database.sql<{ count: number }[]>`
      select count(*)::int as count from schedule_instant where workspace_id = ${workspaceId} and skipped = 'paused'`;
    expect(count).toBe(4);
  });

  test("decides nothing while it is paused, and records the pause", async () => {
    const a = await setting();
    await a.set({});
    const begin = testEnv.clock.nowMs();
    await pauseSchedule(testEnv.deps, a.nightly);
    testEnv.clock.advance(2.5 * HOUR);
    await decideAll();
    expect(await a.runs()).toEqual([]);
    await pauseSchedule(testEnv.deps, a.nightly);
    const resumed = await resumeSchedule(testEnv.deps, a.nightly);
    expect(resumed).toMatchObject({ paused: false, nextAt: new Date(begin + 3 * HOUR).toISOString() });
    expect(await a.instants()).toEqual([
      [new Date(begin + HOUR).toISOString(), new Date(begin + 2 * HOUR).toISOString(), "paused"],
    ]);
  });

  test("is gone once it is deleted, also the second time; its runs stay", async () => {
    const a = await setting();
    await a.set({});
    testEnv.clock.advance(HOUR);
    await decideAll();
    await deleteSchedule(testEnv.deps, a.nightly);
    await deleteSchedule(testEnv.deps, a.nightly);
    testEnv.clock.advance(HOUR);
    await decideAll();
    expect(await a.runs()).toHaveLength(1);
    await expect(getSchedule(testEnv.deps, a.nightly)).rejects.toMatchObject({ code: "schedule-not-found" });
  });
});

describe("a change with a condition", () => {
  test("is refused if somebody has changed the schedule since it was read, and changes nothing", async () => {
    const a = await setting();
    const read = await a.set({});
    testEnv.clock.advance(1);
    const other = await a.set({ tags: ["theirs"] });
    await expect(a.set({ tags: ["mine"] }, { ifUpdatedAt: read.updatedAt })).rejects.toMatchObject({
      code: "edit-conflict",
    });
    expect((await getSchedule(testEnv.deps, a.nightly)).tags).toEqual(["theirs"]);
    await a.set({ tags: ["mine"] }, { ifUpdatedAt: other.updatedAt });
    expect((await getSchedule(testEnv.deps, a.nightly)).tags).toEqual(["mine"]);
  });

  test("is refused if the schedule exists already, or has been deleted", async () => {
    const a = await setting();
    const read = await a.set({}, { ifUpdatedAt: null });
    await expect(a.set({ tags: ["mine"] }, { ifUpdatedAt: null })).rejects.toMatchObject({
      code: "edit-conflict",
      faults: [{ path: "name" }],
    });
    await deleteSchedule(testEnv.deps, a.nightly);
    await expect(a.set({ tags: ["mine"] }, { ifUpdatedAt: read.updatedAt })).rejects.toMatchObject({
      code: "edit-conflict",
      faults: [],
    });
  });

  test("changes nothing if it is repeated because its answer was lost", async () => {
    const a = await setting();
    const made = await a.set({ tags: ["one"] }, { ifUpdatedAt: null });
    testEnv.clock.advance(1);
    expect(await a.set({ tags: ["one"] }, { ifUpdatedAt: null })).toEqual(made);
    const changed = await a.set({ tags: ["two"] }, { ifUpdatedAt: made.updatedAt });
    testEnv.clock.advance(1);
    expect(await a.set({ tags: ["two"] }, { ifUpdatedAt: made.updatedAt })).toEqual(changed);
  });

  test("succeeds for one of two people who change it at the same time", async () => {
    const a = await setting();
    const read = await a.set({});
    testEnv.clock.advance(1);
    const results = await Promise.allSettled(
      ["one", "two"].map((tag) => a.set({ tags: [tag] }, { ifUpdatedAt: read.updatedAt })),
    );
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });
});

describe("a preview", () => {
  const nightly = { kind: "cron", cron: "30 2 * * *", zone: "Europe/Berlin" } as const;
  const preview = (timing: Parameters<typeof previewSchedule>[1]["timing"], endsAt: string | null = null) =>
    previewSchedule(testEnv.deps, { timing, startsAt: null, endsAt, limit: 2 });

  test("has the times that the schedule would have", async () => {
    const a = await setting();
    const { items } = await preview(nightly);
    await a.set({ timing: nightly });
    expect(items).toHaveLength(2);
    expect(items).toEqual((await listUpcoming(testEnv.deps, { ...a.nightly, limit: 2 })).items);
    expect((await preview(nightly, items[1]?.at)).items).toEqual(items.slice(0, 1));
  });

  test("of a rule that cannot be computed names the field", async () => {
    await expect(preview({ ...nightly, cron: "99 * * * *" })).rejects.toMatchObject({
      code: "invalid-schedule",
      faults: [{ path: "timing.cron" }],
    });
  });
});
