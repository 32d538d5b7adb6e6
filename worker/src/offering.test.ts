import { link, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { claimName } from "./attempts/paths.ts";
import { bootTimeClock, sleep } from "./host/index.ts";
import { AckFile } from "./journal/ack-file.ts";
import type { JournalLane } from "./journal/index.ts";
import { type FakeAttempt, linesOf, newAttempt } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";

vi.setConfig({ testTimeout: 120_000 });

let testEnv: WorkerTestEnv;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await testEnv.close();
});

/** The longest sleep of a worker here, milliseconds: its clock is moved by the test. */
const NAP_MS = 100;

/** A worker on a boot-time clock that the test moves. */
async function startOnClock(): Promise<{ pass(ms: number): void }> {
  const real = bootTimeClock();
  let aheadMs = 0;
  await testEnv.start(
    {},
    {
      bootClock: { nowMs: () => real.nowMs() + aheadMs },
      sleep: (ms, signal) => sleep(Math.min(ms, NAP_MS), signal),
    },
  );
  return {
    pass(ms) {
      aheadMs += ms;
    },
  };
}

/** A worker whose boot-time clock moves on by ten seconds with every renewal. */
async function startHasty(isHasty: () => boolean = () => true) {
  const { plane } = testEnv;
  let renewals = 0;
  plane.renewIntervalMs = 100;
  const clock = await startOnClock();
  plane.onRenew = () => {
    if (!isHasty()) return;
    renewals += 1;
    clock.pass(10_000);
  };
  return { renewals: () => renewals };
}

const leftOut = () => testEnv.logged.filter((line) => line.includes("it is skipped"));

const isReconciled = () =>
  testEnv.plane.claims.some(({ reconciled }) => reconciled === testEnv.plane.incarnation);

async function untilReconciled(): Promise<void> {
  await testEnv.plane.until("the worker has offered again", isReconciled);
}

async function startWaiting(): Promise<FakeAttempt> {
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(`await gateway.log("up"); await new Promise((r) => setInterval(r, 1 << 30));`),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  return attempt;
}

test("an attempt without an answer is left out, and is stopped when it is given away", async () => {
  const { plane } = testEnv;
  await startHasty();
  const attempt = await startWaiting();
  plane.unanswered.add(attempt.attemptId);
  plane.snapshot().goBack();
  await untilReconciled();
  expect(leftOut()).toEqual([expect.stringContaining(`"attempt":"${attempt.attemptId}.1"`)]);
  plane.reassign(attempt);
  await plane.until("it is stopped", () =>
    testEnv.logged.some((line) => line.includes('"stopping an attempt"')),
  );
});

test("time in which reports fail does not count", async () => {
  const { plane } = testEnv;
  const { renewals } = await startHasty(() => plane.refusedReports > 0);
  await startWaiting();
  plane.takesReports = false;
  plane.snapshot().goBack();
  await plane.until("it has renewed for minutes", () => renewals() > 15);
  expect(isReconciled()).toBe(false);
  plane.takesReports = true;
  await untilReconciled();
  expect(leftOut()).toEqual([]);
});

/** Ended attempts that the control plane has, and the worker's journals of them: only the fences and acknowledgements. */
async function leaveJournals(count: number): Promise<FakeAttempt[]> {
  const submission = await testEnv.deployFlow("");
  const attempts = Array.from({ length: count }, (): FakeAttempt => {
    const outcome = { state: "completed", cause: null };
    const acked = { controlAcked: 3, bulkAcked: 2 };
    const one = newAttempt(submission);
    return { ...one, epoch: 1, nonce: one.attemptId, state: "ended", outcome, ...acked };
  });
  const acks = await makeAcks({ control: 3, bulk: 2 });
  await Promise.all(
    attempts.map(async ({ attemptId, epoch, nonce }) => {
      const dir = journalOf({ attemptId, epoch });
      await mkdir(dir, { recursive: true });
      await writeFile(join(dir, "fence.json"), JSON.stringify({ attemptId, epoch, nonce }));
      for (const name of acks) await link(join(testEnv.dir, name), join(dir, name));
    }),
  );
  testEnv.plane.attempts.push(...attempts);
  return attempts;
}

/** The files with the acknowledgements of each lane. */
async function makeAcks(acked: Record<JournalLane, number>): Promise<string[]> {
  const names = Object.keys(acked).map((lane) => `${lane}.ack`);
  for (const [index, seq] of Object.values(acked).entries()) {
    const file = await AckFile.open(join(testEnv.dir, names[index] ?? ""));
    await file.advance(seq);
    await file.close();
  }
  return names;
}

function journalOf(fence: { attemptId: string; epoch: number }): string {
  return join(testEnv.dir, "state", "journals", claimName(fence));
}

/** How many of these journals were opened: opening makes the lanes' files. */
async function countOpened(attempts: readonly FakeAttempt[]): Promise<number> {
  const files = await Promise.all(attempts.map((attempt) => readdir(journalOf(attempt))));
  return files.filter((names) => names.length > 3).length;
}

test("after a restart of the database, complete journals stay closed", async () => {
  const { plane } = testEnv;
  const attempts = await leaveJournals(2_000);
  await testEnv.start();
  plane.snapshot().goBack();
  await untilReconciled();
  expect(await countOpened(attempts)).toBe(0);
  expect(plane.reports).toBeLessThan(attempts.length / 50);
});

test("a journal is opened if the control plane lacks records or the end", async () => {
  const { plane } = testEnv;
  const attempts = await leaveJournals(20);
  await testEnv.start();
  const [behind, open] = attempts;
  Object.assign(behind ?? {}, { bulkAcked: 1 });
  Object.assign(open ?? {}, { state: "running", outcome: null });
  plane.snapshot().goBack();
  await untilReconciled();
  expect(await countOpened(attempts.slice(2))).toBe(0);
  expect(await countOpened(attempts.slice(0, 2))).toBe(2);
});

test("while attempts are answered one after the other, none is left out", async () => {
  const { plane } = testEnv;
  await leaveJournals(12);
  const clock = await startOnClock();
  plane.onReport = ({ attempts: [first, ...others] }) => {
    clock.pass(20_000);
    for (const { attemptId } of others) plane.unanswered.add(attemptId);
    plane.unanswered.delete(first?.attemptId ?? "");
  };
  plane.snapshot().goBack();
  await untilReconciled();
  expect(plane.reports).toBeGreaterThanOrEqual(12);
  expect(leftOut()).toEqual([]);
});
