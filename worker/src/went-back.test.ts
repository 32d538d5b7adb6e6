import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type FakeAttempt, lineNumbersOf, linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { killNine, WorkerProcesses } from "./testing/worker-process.fixture.ts";

vi.setConfig({ testTimeout: 120_000 });

let testEnv: WorkerTestEnv;
const processes = new WorkerProcesses();
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await processes.end();
  await testEnv.close();
});

/** A flow that logs one line, waits for a file, and logs another. */
const TWO_PARTS = `const fs = await import("node:fs");
  const until = async (name) => { while (!fs.existsSync(process.env.FLAGS + name)) await new Promise((r) => setTimeout(r, 20)); };
  for (let i = 0; i < 5; i++) await gateway.log("before " + i);
  await until("go");
  for (let i = 0; i < 5; i++) await gateway.log("after " + i);
  await until("end");`;

const flag = (name: string) => join(testEnv.dir, `flag-${name}`);

async function submitTwoParts(): Promise<FakeAttempt> {
  return testEnv.plane.submit(await testEnv.deployFlow(TWO_PARTS, { env: { FLAGS: flag("") } }));
}

const ALL_LINES = ["before", "after"].flatMap((part) => [0, 1, 2, 3, 4].map((i) => `log: ${part} ${i}`));

async function untilLines(attempt: FakeAttempt, count: number): Promise<void> {
  await testEnv.plane.until(`${count} lines are here`, () => linesOf(attempt).length >= count);
}

/** Waits until a poll says that the worker has offered everything to the present database. */
async function untilReconciled(): Promise<void> {
  const { plane } = testEnv;
  await plane.until("the worker has offered again", () =>
    plane.claims.some(({ reconciled }) => reconciled === plane.incarnation),
  );
}

async function expectWhole(attempt: FakeAttempt): Promise<void> {
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(linesOf(attempt)).toEqual(ALL_LINES);
  expect(lineNumbersOf(attempt)).toEqual(ALL_LINES.map((_, index) => index));
}

test("an end that was acknowledged is not lost when the database goes back, in the same session", async () => {
  await writeFile(flag("go"), "");
  await testEnv.start();
  const attempt = await submitTwoParts();
  await untilLines(attempt, 10);
  const copy = testEnv.plane.snapshot();
  await writeFile(flag("end"), "");
  await testEnv.plane.untilEnded(attempt);
  copy.goBack();
  expect(attempt.state).toBe("running");
  await untilReconciled();
  await expectWhole(attempt);
  expect(attempt.outcome).toEqual({ state: "completed", cause: null });
  expect(testEnv.plane.sessions).toHaveLength(1);
});

test("after an acknowledgement below the last one, a running attempt sends again from there and goes on", async () => {
  await testEnv.start();
  const attempt = await submitTwoParts();
  await untilLines(attempt, 5);
  const copy = testEnv.plane.snapshot();
  await writeFile(flag("go"), "");
  await untilLines(attempt, 10);
  copy.goBack();
  expect(linesOf(attempt).length).toBeLessThan(10);
  await untilReconciled();
  await untilLines(attempt, 10);
  await writeFile(flag("end"), "");
  await expectWhole(attempt);
});

test.each([
  { what: "before it had reported anything", lines: 0 },
  { what: "while it ran", lines: 5 },
])(
  "a worker that was away while the database went back to $what offers again when it is back",
  async ({ lines }) => {
    const first = await processes.start(testEnv);
    const copies: { goBack(): void }[] = [];
    const attempt = await submitTwoParts();
    if (lines === 0)
      await testEnv.plane.until("it is claimed", () => {
        if (attempt.state === "claimed" && copies.length === 0) copies.push(testEnv.plane.snapshot());
        return copies.length > 0;
      });
    else {
      await untilLines(attempt, lines);
      copies.push(testEnv.plane.snapshot());
    }
    for (const name of ["go", "end"]) await writeFile(flag(name), "");
    await testEnv.plane.untilEnded(attempt);
    await killNine(first);
    copies[0]?.goBack();
    await processes.start(testEnv);
    await untilReconciled();
    await expectWhole(attempt);
  },
);

test("a worker that is killed before it has sent everything again does so after its restart", async () => {
  const { plane } = testEnv;
  await writeFile(flag("go"), "");
  const first = await processes.start(testEnv);
  const attempt = await submitTwoParts();
  await untilLines(attempt, 10);
  const copy = plane.snapshot();
  await writeFile(flag("end"), "");
  await plane.untilEnded(attempt);
  plane.takesRecords = false;
  copy.goBack();
  await plane.until("records were refused twice", () => plane.refusedReports > 1);
  expect(plane.claims.filter(({ reconciled }) => reconciled === plane.incarnation)).toEqual([]);
  await killNine(first);
  plane.takesRecords = true;
  await processes.start(testEnv);
  await untilReconciled();
  await expectWhole(attempt);
  expect(attempt.outcome).toEqual({ state: "completed", cause: null });
});

test("for a control plane of an earlier release, the offering begins before the first poll of the new session", async () => {
  testEnv.plane.position = null;
  await writeFile(flag("go"), "");
  await testEnv.start();
  const attempt = await submitTwoParts();
  await untilLines(attempt, 10);
  const copy = testEnv.plane.snapshot();
  await writeFile(flag("end"), "");
  await testEnv.plane.untilEnded(attempt);
  testEnv.plane.expireSessions();
  copy.goBack();
  testEnv.plane.submit(await testEnv.deployFlow(""));
  await expectWhole(attempt);
  expect(attempt.outcome).toEqual({ state: "completed", cause: null });
  expect(testEnv.plane.claims.every(({ reconciled }) => reconciled === undefined)).toBe(true);
});

test("a process goes on until the control plane was asked, although it went back and does not know the claim", async () => {
  await testEnv.start();
  const attempt = await submitTwoParts();
  await untilLines(attempt, 5);
  testEnv.plane.takesReports = false;
  const { nonce } = attempt;
  // As after a restore: renewals and polls do not know the claim.
  attempt.nonce = "forgotten-by-the-database";
  testEnv.plane.snapshot().goBack();
  await testEnv.plane.until(
    "polls say that it is being offered",
    () => testEnv.plane.claims.at(-1)?.reconciled === null,
  );
  const polls = testEnv.plane.claims.length;
  testEnv.plane.look();
  await testEnv.plane.until(
    "several answers named the database",
    () => testEnv.plane.claims.length > polls + 2,
  );
  attempt.nonce = nonce;
  testEnv.plane.takesReports = true;
  await untilReconciled();
  for (const name of ["go", "end"]) await writeFile(flag(name), "");
  await expectWhole(attempt);
  expect(existsSync(flag("go"))).toBe(true);
});

test("a worker goes on taking work when an earlier release answers its polls again", async () => {
  const { plane } = testEnv;
  await testEnv.start();
  await plane.until("a poll has said what was offered", () =>
    plane.claims.some((one) => one.reconciled !== undefined),
  );
  plane.position = null;
  await plane.untilEnded(plane.submit(await testEnv.deployFlow("")));
  await plane.untilEnded(plane.submit(await testEnv.deployFlow("")));
});
