import { type Cause, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records, refOf } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRun, listTaskRuns } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";
import { startedIn } from "../waits/waiting-flow.fixture.ts";
import { listCheckpoints } from "./checkpoints.ts";
import { planRerun, rerunRun } from "./rerun.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const done = (path: string, codeVersion: string) => [
  records.task(path, "begin", { name: path.split("/").at(-1) }),
  records.task(path, "complete", { name: path.split("/").at(-1), codeVersion, result: refOf(path) }),
];
const TASKS = { load: "l1", clean: "c1", train: "t1" };

/** A tenant with a run that has failed: `load`, and `clean` inside `train`, are completed. */
async function failed() {
  const tenancy = await openTenancy(testEnv, { tasks: TASKS });
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const { id } = await createRun(
    testEnv.deps,
    tenancy.scope,
    tenancy.request({ parameters: { rows: 3 }, tags: ["a"] }),
  );
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [
    records.started,
    ...done("load", "l1"),
    records.task("train", "begin"),
    ...done("train/clean", "c1"),
    records.task("train", "fail"),
    records.ended("failed", { cause: "error" }),
  ]);
  const again = (over: Partial<Parameters<typeof rerunRun>[2]> = {}) =>
    rerunRun(testEnv.deps, tenancy.scope, {
      runId: id,
      id: uuidv7(testEnv.clock.nowMs()),
      fromFailure: true,
      sameVersion: false,
      ...over,
    });
  const plan = (over: Partial<Parameters<typeof planRerun>[2]> = {}) =>
    planRerun(testEnv.deps, tenancy.scope, { runId: id, fromFailure: true, sameVersion: false, ...over });
  return { tenancy, fakeWorker, id, again, plan };
}

const short = ({ reuse, run, reasons }: Awaited<ReturnType<typeof planRerun>>) => ({
  reuse,
  run,
  why: reasons.map(({ reason }) => reason),
});

test("a rerun is a new run of the same request, and its attempt gets the original's completed tasks", async () => {
  const { tenancy, fakeWorker, id, again } = await failed();
  const made = await again();
  expect(made).toMatchObject({ state: "ready", version: 1, parameters: { rows: 3 }, tags: ["a"] });
  expect(made.trigger).toEqual({ kind: "rerun", name: "tester", runId: id, fromFailure: true, origin: id });
  expect(await again({ id: made.id })).toMatchObject({ id: made.id });
  const given = await fakeWorker.take();
  const { items } = await listCheckpoints(testEnv.deps, fakeWorker.worker, { ...given, after: null });
  expect(items.map(({ path, own }) => [path, own])).toEqual([
    ["load", false],
    ["train/clean", false],
  ]);
  await fakeWorker.report(given, [
    records.started,
    ...done("later", "x"),
    records.ended("failed", { cause: "error" }),
  ]);
  const third = await again({ runId: made.id });
  expect(third.trigger).toMatchObject({ runId: made.id, origin: id });
  const whole = await fakeWorker.take();
  const all = await listCheckpoints(testEnv.deps, fakeWorker.worker, { ...whole, after: null });
  expect(all.items.map(({ path }) => path)).toEqual(["load", "train/clean", "later"]);
  expect((await getRun(testEnv.deps, tenancy.scope, { runId: id })).state).toBe("failed");
});

test("a rerun of everything takes nothing over, and takes other parameters", async () => {
  const { fakeWorker, again } = await failed();
  const made = await again({ fromFailure: false, parameters: { rows: 9 } });
  expect(made).toMatchObject({ parameters: { rows: 9 }, trigger: { fromFailure: false, origin: made.id } });
  const given = await fakeWorker.take();
  expect((await listCheckpoints(testEnv.deps, fakeWorker.worker, { ...given, after: null })).items).toEqual(
    [],
  );
});

test("the plan lists reused calls and calls that run, with reasons, for the version that will run", async () => {
  const { tenancy, plan, again } = await failed();
  expect(short(await plan())).toEqual({ reuse: 2, run: 1, why: ["train did not complete"] });
  expect(short(await plan({ fromFailure: false }))).toEqual({
    reuse: 0,
    run: 3,
    why: ["a full rerun reuses no results"],
  });
  await tenancy.deploy("flow", { version: 2, tasks: { ...TASKS, clean: "c2" } });
  const changed = await plan();
  expect(short(changed)).toEqual({
    reuse: 1,
    run: 2,
    why: ["train did not complete", "the code of clean changed"],
  });
  expect(changed).toMatchObject({ versionBefore: 1, version: 2 });
  expect(short(await plan({ sameVersion: true }))).toEqual({
    reuse: 2,
    run: 1,
    why: ["train did not complete"],
  });
  expect((await again({ sameVersion: true })).version).toBe(1);
  expect((await again()).version).toBe(2);
});

test("what a completed call called is not counted: its result stands for it", async () => {
  const { fakeWorker, again, plan } = await failed();
  const made = await again();
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [
    records.started,
    records.task("load", "reuse", { tries: 0, codeVersion: "l1", result: refOf("load") }),
    records.task("train/clean", "reuse", {
      name: "clean",
      tries: 0,
      codeVersion: "c1",
      result: refOf("clean"),
    }),
    ...done("train", "t1"),
    records.ended("failed", { cause: "error" }),
  ]);
  const { tasks } = await plan({ runId: made.id });
  expect(tasks.map(({ path, action }) => [path, action])).toEqual([
    ["load", "reuse"],
    ["train", "reuse"],
  ]);
});

test("409: a version below the floor of the latest spec, and a run that has not ended", async () => {
  const { tenancy, fakeWorker, again, plan } = await failed();
  await tenancy.deploy("flow", { version: 2, floor: 2 });
  await expect(again({ sameVersion: true })).rejects.toMatchObject({ code: "version-below-floor" });
  await expect(plan({ sameVersion: true })).rejects.toMatchObject({ code: "version-below-floor" });
  const made = await again();
  await expect(again({ runId: made.id })).rejects.toMatchObject({ code: "run-transition-not-allowed" });
  await fakeWorker.take();
});

test("404: another workspace's run is none", async () => {
  const { id } = await failed();
  const other = await openTenancy(testEnv);
  const asked = { runId: id, fromFailure: true, sameVersion: false };
  await expect(planRerun(testEnv.deps, other.scope, asked)).rejects.toMatchObject({ code: "run-not-found" });
  const made = rerunRun(testEnv.deps, other.scope, { ...asked, id: uuidv7(testEnv.clock.nowMs()) });
  await expect(made).rejects.toMatchObject({ code: "run-not-found" });
});

/** A call that fails with what the flow may deal with. */
const fails = (path: string, codeVersion = `${path}1`) => [
  records.task(path, "begin"),
  records.task(path, "fail", {
    codeVersion,
    error: { name: "Declined", message: `no ${path}`, stack: "s".repeat(9_000) },
  }),
];

describe("failures of task calls", () => {
  const given = async (tenancy: Awaited<ReturnType<typeof openTenancy>>) => {
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
    const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    return { fakeWorker, id, attempt: await fakeWorker.take() };
  };
  const left = async (fakeWorker: FakeWorker, attempt: Awaited<ReturnType<FakeWorker["take"]>>) => {
    const { items } = await listCheckpoints(testEnv.deps, fakeWorker.worker, { ...attempt, after: null });
    return items.map(({ path, own, error }) => [path, own, error?.message ?? null]);
  };
  const causes: Cause[] = ["error", "killed"];
  const retry = { limit: 9, delayMs: 0, causes };

  test("that the run failed by are to be called again, the others thrown again; and a plan says which", async () => {
    const tenancy = await openTenancy(testEnv, { tasks: { charge: "charge1", train: "train1" }, retry });
    const { fakeWorker, id, attempt } = await given(tenancy);
    const reported = [
      records.started,
      ...fails("charge"),
      ...fails("train"),
      ...fails("map/1"),
      ...fails("map/1/in"),
      ...fails("map/2"),
      records.ended("failed", { cause: "error", failedBy: ["train", "map/"] }),
    ];
    await fakeWorker.report(attempt, reported);
    const second = await fakeWorker.take();
    expect(await left(fakeWorker, second)).toEqual([
      ["charge", true, "no charge"],
      ["train", true, null],
      ["map/1", true, null],
      ["map/1/in", true, "no map/1/in"],
      ["map/2", true, null],
    ]);
    const { items } = await listCheckpoints(testEnv.deps, fakeWorker.worker, { ...second, after: null });
    expect(items[0]).toMatchObject({
      kind: "task",
      codeVersion: "charge1",
      result: null,
      error: { name: "Declined" },
    });
    expect(items[0]?.error?.stack).toHaveLength(2_000);
    const again = [
      records.started,
      records.task("charge", "fail", {
        tries: 0,
        codeVersion: "charge1",
        error: { name: "Declined", message: "no charge" },
      }),
    ];
    await fakeWorker.report(second, [...again, records.ended("cancelled", { cause: null, failedBy: [] })]);
    const third = await fakeWorker.take();
    expect((await left(fakeWorker, third)).at(-1)).toEqual(["charge", true, "no charge"]);
    const tasks = await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 });
    expect(tasks.items.at(-1)).toMatchObject({ path: "charge", state: "failed", reused: true, tries: 0 });
    await fakeWorker.report(third, [
      records.started,
      ...again.slice(1),
      records.ended("refused", { cause: "refused", failedBy: [] }),
    ]);
    const asked = { runId: id, fromFailure: true, sameVersion: false };
    const plan = await planRerun(testEnv.deps, tenancy.scope, asked);
    expect(plan.tasks).toMatchObject([
      { path: "charge", action: "reuse", failed: true },
      { path: "train", action: "run", reason: "train did not complete" },
      { path: "map/1", action: "run" },
      { path: "map/1/in", action: "run", reason: "the code of map/1/in changed" },
      { path: "map/2", action: "run" },
    ]);
    await rerunRun(testEnv.deps, tenancy.scope, { ...asked, id: uuidv7(testEnv.clock.nowMs()) });
    const rerun = await fakeWorker.take();
    expect((await left(fakeWorker, rerun)).at(-1)).toEqual(["charge", false, "no charge"]);
    await fakeWorker.report(rerun, [records.started, records.ended("completed")]);
  });

  const ends: [string, Parameters<typeof records.ended>, string | null][] = [
    ["an attempt that does not say what it failed by", ["failed", { cause: "error" }], null],
    ["a process that was killed", ["failed", { cause: "killed", failedBy: [] }], "no charge"],
    ["a worker of an earlier release that was drained", ["cancelled", { cause: null }], null],
  ];
  test.each(ends)("after %s", async (_what, end, message) => {
    const tenancy = await openTenancy(testEnv, { retry });
    const { fakeWorker, attempt } = await given(tenancy);
    await fakeWorker.report(attempt, [records.started, ...fails("charge"), records.ended(...end)]);
    const next = await fakeWorker.take();
    expect(await left(fakeWorker, next)).toEqual([["charge", true, message]]);
    await fakeWorker.report(next, [records.started, records.ended("completed")]);
  });

  const byEarlierRelease: [string, Parameters<typeof records.ended>, string | null][] = [
    ["a failure", ["failed", { cause: "error", failedBy: ["charge"] }], null],
    ["a suspension", ["suspended", { waits: ["for"] }], "no charge"],
  ];
  test.each(byEarlierRelease)(
    "after %s that a replica of an earlier release takes, or goes on from",
    async (_what, end, message) => {
      const tenancy = await openTenancy(testEnv, { retry });
      const flow = await startedIn(testEnv, tenancy);
      await flow.ask("for", { kind: "for", ms: 0 });
      await flow.fakeWorker.report(flow.given, fails("charge"), { from: 2 });
      const { sql } = testEnv.deps.database;
      const fatal = () => sql`select fatal from task_run where run_id = ${flow.id}`;
      expect(await fatal()).toEqual([{ fatal: null }]);
      await flow.fakeWorker.report(flow.given, [records.ended(...end)], { from: 4 });
      // A replica of an earlier release goes by the column alone when it serves the next attempt.
      expect(await fatal()).toEqual([{ fatal: message === null }]);
      // One that takes the end does not write the column.
      await sql`update task_run set fatal = null where run_id = ${flow.id}`;
      const next = await flow.fakeWorker.take();
      expect(await left(flow.fakeWorker, next)).toEqual([["charge", true, message]]);
      await flow.fakeWorker.report(next, [records.started, records.ended("completed")]);
    },
  );

  test("without a code version, as an earlier release told them, are to be called again", async () => {
    const tenancy = await openTenancy(testEnv, { retry });
    const { fakeWorker, attempt } = await given(tenancy);
    const end = records.ended("failed", { cause: "error", failedBy: [] });
    await fakeWorker.report(attempt, [
      records.started,
      records.task("old", "begin"),
      records.task("old", "fail"),
      end,
    ]);
    const next = await fakeWorker.take();
    expect(await left(fakeWorker, next)).toEqual([]);
    await fakeWorker.report(next, [records.started, records.ended("completed")]);
  });
});
