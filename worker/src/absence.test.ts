import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { bootTimeClock, type Sleep, sleep } from "./host/index.ts";
import { type FakeAttempt, lineNumbersOf, linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { killNine, WorkerProcesses } from "./testing/worker-process.fixture.ts";

vi.setConfig({ testTimeout: 180_000 });

let testEnv: WorkerTestEnv;
const processes = new WorkerProcesses();
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await processes.end();
  await testEnv.close();
});

const HOUR_MS = 3_600_000;
/** Longer than a refused worker waits before it asks again. */
const LATER_MS = 60_000;

/** The longest sleep of a worker here, milliseconds, so that it soon notices that the clock was moved. */
const NAP_MS = 200;

/** A boot-time clock that a test moves, and a sleep that follows it. */
function movable() {
  const real = bootTimeClock();
  let aheadMs = 0;
  const bootClock = { nowMs: () => real.nowMs() + aheadMs };
  const nap: Sleep = (ms, signal) => sleep(Math.min(ms, NAP_MS), signal);
  return {
    time: { bootClock, sleep: nap },
    advance(ms: number) {
      aheadMs += ms;
    },
  };
}

/** A flow that logs `up` and its pid, waits for a file, and then logs many lines. */
async function deployWaiting() {
  const go = join(testEnv.dir, "go");
  const spec = await testEnv.deployFlow(`
    const { existsSync } = await import("node:fs");
    await gateway.log("up " + process.pid);
    while (!existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 20));
    for (let n = 0; n < 300; n++) await gateway.log("n" + n);
    await gateway.send({ type: "task", path: "a", name: "a", move: "queue", tries: 0 });
  `);
  return { spec, letOn: () => writeFile(go, "") };
}

const inTheMiddle = (attempt: FakeAttempt) =>
  testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
/** Waits until the flow has logged everything and its process has ended: a process that stays is stopped when the clock moves. */
async function isThrough(attempt: FakeAttempt): Promise<void> {
  const pid = linesOf(attempt)[0]?.split(" ").at(-1);
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 90_000 }).toBe(false);
}

const logged = (pattern: RegExp) => testEnv.logged.filter((line) => pattern.test(line));
const isLogged = (pattern: RegExp, times = 1) =>
  expect.poll(() => logged(pattern).length, { timeout: 90_000 }).toBeGreaterThanOrEqual(times);

/** Every line of the flow has come, once and in order, and the same attempt has completed. */
async function expectWhole(attempt: FakeAttempt): Promise<void> {
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  const said = Array.from({ length: 300 }, (_, n) => `log: n${n}`);
  expect(linesOf(attempt)).toEqual([expect.stringMatching(/^log: up \d+$/), ...said]);
  expect(lineNumbersOf(attempt)).toEqual(Array.from({ length: 301 }, (_, index) => index));
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "task", "ended"]);
  expect(attempt.epoch).toBe(1);
}

test("while the control plane is away for an hour a run goes on, and its records come in order afterwards", async () => {
  const { time, advance } = movable();
  await testEnv.start({}, time);
  const { spec, letOn } = await deployWaiting();
  const attempt = testEnv.plane.submit(spec);
  await inTheMiddle(attempt);
  await testEnv.plane.stop();
  advance(HOUR_MS);
  await letOn();
  await isThrough(attempt);
  advance(HOUR_MS);
  expect(linesOf(attempt)).toHaveLength(1);
  await testEnv.plane.start();
  await expectWhole(attempt);
});

test("under `stop` an hour without the control plane ends the process when its lease expires, and that is reported", async () => {
  const { time, advance } = movable();
  testEnv.plane.leaseMs = 1_000;
  await testEnv.start({}, time);
  const spec = await testEnv.deployFlow(
    `await gateway.log("up " + process.pid); await new Promise((resolve) => setTimeout(resolve, ${HOUR_MS}));`,
    { onDisconnect: "stop" },
  );
  const attempt = testEnv.plane.submit(spec);
  await inTheMiddle(attempt);
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  await testEnv.plane.stop();
  advance(HOUR_MS);
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 90_000 }).toBe(false);
  await testEnv.plane.start();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "lost" });
});

for (const speaks of [[9], "foreign"] as const) {
  test(`a worker whose protocol is refused (${speaks}) says which side to update, asks seldom, and its runs lose nothing`, async () => {
    const { time, advance } = movable();
    await testEnv.start({}, time);
    const { spec, letOn } = await deployWaiting();
    const attempt = testEnv.plane.submit(spec);
    await inTheMiddle(attempt);
    testEnv.plane.speaks = speaks;
    testEnv.plane.expireSessions();
    await letOn();
    await isThrough(attempt);
    await isLogged(/still failing/, 5);
    const told = logged(/protocol-unsupported/);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/Update the (worker|older of the two).*Its present runs continue/);
    expect(testEnv.plane.refusedSessions).toBe(1);
    expect(linesOf(attempt)).toHaveLength(1);
    advance(LATER_MS);
    await testEnv.plane.until("it asks again", () => testEnv.plane.refusedSessions === 2);
    expect(logged(/protocol-unsupported/)).toHaveLength(1);
    testEnv.plane.speaks = [1];
    advance(LATER_MS);
    await expectWhole(attempt);
    await isLogged(/the control plane and this worker support the same protocol version again/);
  });
}

test("a worker that is started again while its protocol is refused keeps what runs, and goes on with it afterwards", async () => {
  const { time, advance } = movable();
  const first = await processes.start(testEnv);
  const { spec, letOn } = await deployWaiting();
  const attempt = testEnv.plane.submit(spec);
  await inTheMiddle(attempt);
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  await killNine(first);
  testEnv.plane.speaks = [9];
  testEnv.plane.expireSessions();
  const second = await testEnv.begin({}, time);
  await isLogged(/protocol-unsupported/);
  await isLogged(/still failing/, 5);
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  testEnv.plane.speaks = [1];
  advance(LATER_MS);
  await second.ready;
  await letOn();
  await expectWhole(attempt);
});
