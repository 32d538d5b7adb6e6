import { FINAL_RUN_STATES, type SpecInput } from "@towpath/contract";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { openTestDeps } from "../../deps.fixture.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { getRun, listRuns } from "../read/read.ts";
import { History, limitTo, pass, type Yard } from "./history.fixture.ts";
import { checkAmounts, checkSlots, checkStep, readStates } from "./invariants.fixture.ts";
import { FAR, FAR_HOOK, FAR_JOB, FAR_LINES, type Step, step } from "./steps.fixture.ts";

let testEnv: TestEnv;
/** Another control plane over the same database. */
let other: TestEnv;
beforeAll(async () => {
  const database = await createTestDatabase();
  testEnv = await openTestEnv(database);
  const deps = await openTestDeps({ url: database.url, clock: testEnv.clock });
  other = { ...testEnv, deps, close: () => deps.close() };
});
afterAll(async () => {
  await other?.close();
  await testEnv?.close();
});

const LOST_AFTER_MS = 20_000;
/** How many histories are played. The mutation tests play more. */
const HISTORIES = Number(process.env.TOWPATH_MODEL_HISTORIES ?? 30);
/** The printed seed and path of a failed history: only this history is played. */
const { TOWPATH_MODEL_SEED: SEED, TOWPATH_MODEL_PATH: PATH } = process.env;
const AGAIN =
  SEED === undefined
    ? null
    : { seed: Number(SEED), ...(PATH === undefined ? {} : { path: PATH, numRuns: 1 }) };

/** Runs that need only a slot, and runs that also need amounts. Each worker has enough for one or two of them. */
const YARDS = {
  "only a slot": { deployments: ["flow"], amounts: {} },
  "amounts of their workers": {
    deployments: ["flow", "part", "whole"],
    amounts: { cpu: 4, gpu: 2, "gpu:a100": 2 },
  },
} as const;

async function openYard(yard: Yard): Promise<{ tenancy: Tenancy; history: History }> {
  const spec: Partial<SpecInput> = {
    lostAfterMs: LOST_AFTER_MS,
    retry: { limit: 1, delayMs: 5_000, causes: ["error", "oom", "lost"] },
  };
  const tenancy = await openTenancy(testEnv, spec);
  await tenancy.deploy("part", { ...spec, compute: { cpu: 1.5, gpu: { count: 1, kind: "a100" } } });
  await tenancy.deploy("whole", { ...spec, compute: { gpu: { count: 2 } } });
  return { tenancy, history: await History.open([testEnv, other], { tenancy, yard }) };
}

test.each(Object.entries(YARDS))(
  "whatever people, workers and time do with runs that need %s, the invariants hold after every step, and every run ends",
  async (needed, yard) => {
    const seen = new Set<string>();
    const played = await fc.check(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        const { tenancy, history } = await openYard(yard);
        let before = await readStates(testEnv, tenancy);
        for (const one of steps) {
          await history.apply(one);
          const after = await readStates(testEnv, tenancy);
          checkStep(history, { before, after });
          await checkSlots(testEnv);
          await checkAmounts(testEnv, tenancy);
          await history.waits.check(testEnv, after);
          await history.jobs.check(testEnv, after);
          await history.lines.check(testEnv, 100);
          for (const { state } of after.runs) seen.add(state);
          for (const { state } of after.jobs) seen.add(`job ${state}`);
          for (const one of after.attempts)
            if (one.hook) seen.add(`hook ${one.started ? "started" : "waiting"} ${one.state}`);
          before = after;
        }
        await settle(history, { tenancy, yard });
        await history.lines.check(testEnv, 2);
        for (const { state } of (await readStates(testEnv, tenancy)).runs) seen.add(state);
        await invisibleElsewhere(history);
      }),
      {
        numRuns: HISTORIES,
        endOnFailure: true,
        examples: [[[...FAR]], [[...FAR_JOB]], [[...FAR_LINES]], [[...FAR_HOOK]]],
        ...AGAIN,
      },
    );
    if (played.failed) throw failure(played, needed);
    if (AGAIN !== null) return;
    // Histories that never reach these states prove nothing.
    for (const state of ["scheduled", "blocked", "running", "suspended", "completed", "cancelled"])
      expect(seen).toContain(state);
    for (const state of ["intended", "submitted", "ended", "cancelling"])
      expect(seen).toContain(`job ${state}`);
    for (const state of ["waiting cancelling", "started cancelling", "started cancelled"])
      expect(seen).toContain(`hook ${state}`);
  },
  300_000,
);

/** The failure, and the command that plays the same history again. */
function failure(played: fc.RunDetails<Step[][]>, needed: string): Error {
  const { seed, counterexamplePath } = played;
  const again = `TOWPATH_MODEL_SEED=${seed} TOWPATH_MODEL_PATH=${counterexamplePath} npm run vitest -- services/control/src/runs/model -t "${needed}"`;
  const message = `${fc.defaultReportMessage(played)}\n\nThe same history again:\n${again}`;
  return new Error(message, { cause: played.errorInstance });
}

/** After the faults stop, a good worker ends every run. */
async function settle(history: History, { tenancy, yard }: { tenancy: Tenancy; yard: Yard }): Promise<void> {
  await limitTo(other, tenancy, 2);
  const good = new FakeWorker(testEnv, await tenancy.worker("good", yard.amounts));
  for (let round = 0; round < 20; round++) {
    await pass([testEnv, other], 120_000);
    await history.answerAll();
    await history.jobs.tend(good, { report: "cancelled", lost: false, forget: false });
    const { assignments } = await good.look({ free: 10, held: [] });
    for (const given of assignments) await good.report(given, [records.started, records.ended("completed")]);
    const { items } = await listRuns(testEnv.deps, tenancy.scope, { limit: 10 });
    if (items.every((run) => FINAL_RUN_STATES.includes(run.state))) break;
  }
  const { runs, attempts } = await readStates(testEnv, tenancy);
  for (const run of runs) expect(FINAL_RUN_STATES).toContain(run.state);
  expect(attempts.filter(({ lease }) => lease !== null)).toEqual([]);
  await checkSlots(testEnv);
}

/** Another workspace sees none of the runs. */
async function invisibleElsewhere({ created }: History): Promise<void> {
  const stranger = await openTenancy(testEnv);
  expect((await listRuns(testEnv.deps, stranger.scope, { limit: 10 })).items).toEqual([]);
  for (const runId of created) {
    const seen = getRun(testEnv.deps, stranger.scope, { runId });
    await expect(seen).rejects.toMatchObject({ code: "run-not-found" });
  }
}
