import fc from "fast-check";
import { expect, test } from "vitest";
import { bootTimeClock, callAt, sleep, wallClock } from "./clock.ts";

/** A machine whose uptime counts suspended time in steps of 10 ms, and whose monotonic clock does not. */
function machine() {
  let uptimeMs = 5_000;
  let monotonicMs = 100;
  return {
    run: (ms: number) => {
      uptimeMs += ms;
      monotonicMs += ms;
    },
    suspend: (ms: number) => {
      uptimeMs += ms;
    },
    trueMs: () => uptimeMs,
    readUptimeSeconds: () => Math.floor(uptimeMs / 10) / 100,
    monotonicMs: () => monotonicMs,
  };
}

test("time spent suspended counts", () => {
  const host = machine();
  const clock = bootTimeClock(host);
  const before = clock.nowMs();
  host.run(40);
  host.suspend(3_600_000);
  host.run(7);
  expect(clock.nowMs() - before).toBeGreaterThanOrEqual(3_600_047 - 10);
  expect(clock.nowMs() - before).toBeLessThanOrEqual(3_600_047 + 10);
});

test("the clock never goes back, never runs ahead and lags by one step at most", () => {
  const step = fc.record({ suspend: fc.boolean(), ms: fc.double({ min: 0, max: 1e6, noNaN: true }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 64 }), (steps) => {
      const host = machine();
      const clock = bootTimeClock(host);
      let last = clock.nowMs();
      for (const { suspend, ms } of steps) {
        if (suspend) host.suspend(ms);
        else host.run(ms);
        const now = clock.nowMs();
        expect(now).toBeGreaterThanOrEqual(last);
        expect(now).toBeLessThanOrEqual(host.trueMs() + 1e-3);
        expect(now).toBeGreaterThan(host.trueMs() - 10.001);
        last = now;
      }
    }),
  );
});

test("without an uptime it is the monotonic clock", () => {
  const host = machine();
  const clock = bootTimeClock({ ...host, readUptimeSeconds: () => undefined });
  expect(clock.nowMs()).toBe(100);
});

test("an uptime that cannot be read for a moment does not move the clock back", () => {
  const host = machine();
  let readable = true;
  const clock = bootTimeClock({
    ...host,
    readUptimeSeconds: () => (readable ? host.readUptimeSeconds() : undefined),
  });
  const before = clock.nowMs();
  readable = false;
  host.run(5);
  expect(clock.nowMs()).toBeCloseTo(before + 5, 6);
});

test("the real clocks move with real time", async () => {
  const boot = bootTimeClock();
  const [bootBefore, wallBefore] = [boot.nowMs(), wallClock.nowMs()];
  await sleep(30);
  expect(boot.nowMs() - bootBefore).toBeGreaterThanOrEqual(19);
  expect(wallClock.nowMs()).toBeGreaterThan(wallBefore);
});

test.runIf(process.platform === "linux")("two boot-time clocks of one boot agree to a step", () => {
  expect(Math.abs(bootTimeClock().nowMs() - bootTimeClock().nowMs())).toBeLessThan(50);
});

test("a call at a time never comes before the clock has reached it, however early the timer fires", async () => {
  const beganMs = performance.now();
  // Each timer fires when only half of its time has passed by this clock.
  const slow = { nowMs: () => (performance.now() - beganMs) / 2 };
  const atMs = slow.nowMs() + 40;
  const { promise, resolve } = Promise.withResolvers<number>();
  callAt(slow, { atMs, call: () => resolve(slow.nowMs()) });
  expect(await promise).toBeGreaterThanOrEqual(atMs);
  const called: string[] = [];
  callAt(slow, { atMs: 0, call: () => void called.push("at once") });
  expect(called).toEqual(["at once"]);
});
