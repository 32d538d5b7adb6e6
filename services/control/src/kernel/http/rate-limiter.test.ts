import { RATE_CLASSES, RATE_LIMITS, RATE_WINDOW_SECONDS, type RateLimit } from "@towpath/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createRateLimiter, type RateOverrides } from "./rate-limiter.ts";

function limiterAt(overrides: RateOverrides = new Map()) {
  const clock = { nowMs: 1_000_000 };
  return { clock, limiter: createRateLimiter({ overrides, nowMs: () => clock.nowMs }) };
}
const KEY = { key: "k", workspace: "w" };
const left = (ratelimit = "") => {
  const [, remaining, seconds] = /r=(\d+);t=(\d+)/.exec(ratelimit) ?? [];
  return { remaining: Number(remaining), seconds: Number(seconds) };
};

test("a quiet caller may send a window's requests at once, then no more than its rate", () => {
  const { clock, limiter } = limiterAt();
  const { key: perSecond } = RATE_LIMITS.write.perSecond;
  const send = (count: number) =>
    Array.from({ length: count }, () => limiter.take("write", KEY)).filter(({ refusal }) => refusal === null);
  expect(send(5 * perSecond * RATE_WINDOW_SECONDS)).toHaveLength(perSecond * RATE_WINDOW_SECONDS);
  for (let second = 0; second < 20; second++) {
    clock.nowMs += 1000;
    expect(send(5 * perSecond)).toHaveLength(perSecond);
  }
});

test("a refusal has the time of the next request, and then it is accepted", () => {
  const { clock, limiter } = limiterAt(new Map([["write.key", 0.5]]));
  while (limiter.take("write", KEY).refusal === null);
  const { refusal } = limiter.take("write", KEY);
  expect(refusal).toMatchObject({ code: "too-many-requests", message: expect.stringContaining("write-key") });
  clock.nowMs += (refusal?.retryAfterMs ?? 0) - 1;
  expect(limiter.take("write", KEY).refusal).not.toBeNull();
  clock.nowMs += 1;
  expect(limiter.take("write", KEY).refusal).toBeNull();
});

test("the remaining requests in the headers are accepted, and all are back at the reset time", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3_000), { maxLength: 40 }), (pauses) => {
      const { clock, limiter } = limiterAt(new Map([["write.key", 2]]));
      let told = { remaining: Number.NaN, seconds: 0 };
      for (const ms of pauses) {
        clock.nowMs += ms;
        const { headers, refusal } = limiter.take("write", KEY);
        if (told.remaining > 0) expect(refusal).toBeNull();
        told = left(headers().ratelimit);
      }
      clock.nowMs += told.seconds * 1000;
      const again = limiter.take("write", KEY);
      expect(left(again.headers().ratelimit).remaining).toBe(2 * RATE_WINDOW_SECONDS - 1);
    }),
  );
  const { limiter } = limiterAt();
  expect(limiter.take("write", KEY).headers()["ratelimit-policy"]).toBe(
    '"write-key";q=1000;w=10, "write-workspace";q=2000;w=10',
  );
});

test("an expensive request takes as many tokens as it costs, at most all", () => {
  const { clock, limiter } = limiterAt(new Map([["run.key", 1]]));
  expect(limiter.take("run", KEY, 8).refusal).toBeNull();
  expect(limiter.take("run", KEY, 3).refusal?.retryAfterMs).toBeCloseTo(1_000);
  expect(limiter.take("run", KEY, 2).refusal).toBeNull();
  expect(limiter.take("run", KEY).refusal).not.toBeNull();
  clock.nowMs += RATE_WINDOW_SECONDS * 1000;
  expect(limiter.take("run", KEY, 1_000).refusal).toBeNull();
  expect(limiter.take("run", KEY, 1_000).refusal?.retryAfterMs).toBeCloseTo(RATE_WINDOW_SECONDS * 1000);
});

test("keys, workspaces and workers are counted separately, and a workspace's keys together", () => {
  const { limiter } = limiterAt(
    new Map([
      ["write.key", 1],
      ["write.workspace", 2],
      ["worker.worker", 1],
    ]),
  );
  const served = (key: string, workspace: string) => {
    let count = 0;
    while (limiter.take("write", { key, workspace }).refusal === null) count += 1;
    return count;
  };
  expect([served("a", "w"), served("b", "w"), served("c", "w"), served("d", "v")]).toEqual([10, 10, 0, 10]);
  expect(limiter.take("worker", { worker: "a" }).refusal).toBeNull();
});

test("200 busy workers, which open their sessions at once with one key, reach no limit", () => {
  const { clock, limiter } = limiterAt();
  const fleet = { key: "fleet", workspace: "w" };
  const workers = Array.from({ length: 200 }, (_, index) => ({ ...fleet, worker: `worker-${index}` }));
  while (limiter.take("read", KEY).refusal === null);
  for (const _ of workers) expect(limiter.take("session", fleet).refusal).toBeNull();
  for (let step = 0; step < 100; step++) {
    clock.nowMs += 10;
    // 100 calls a second each: polls, renewals, reports and calls of flows.
    for (const one of workers) expect(limiter.take("worker", one).refusal).toBeNull();
  }
});

test.each([
  [{ key: "k" }, 10],
  [{ workspace: "w" }, 20],
])("a worker that changes its id stays within the limit of %o", (shared, busyWorkers) => {
  const { limiter } = limiterAt();
  let served = 0;
  while (served < 1_000_000 && limiter.take("worker", { ...shared, worker: `${served}` }).refusal === null)
    served += 1;
  expect(served).toBe(busyWorkers * RATE_LIMITS.worker.perSecond.worker * RATE_WINDOW_SECONDS);
});

test("one key alone cannot use up the limit of its workspace", () => {
  for (const { perSecond } of Object.values<RateLimit>(RATE_LIMITS))
    if (perSecond.workspace !== undefined) expect(perSecond.key).toBeLessThan(perSecond.workspace);
});

test("a limit can be replaced and removed", () => {
  const off = new Map(
    RATE_CLASSES.flatMap((name) =>
      Object.keys(RATE_LIMITS[name].perSecond).map((one) => [`${name}.${one}`, null]),
    ),
  );
  const { limiter } = limiterAt(off);
  for (let count = 0; count < 5_000; count++) expect(limiter.take("write", KEY).refusal).toBeNull();
  expect(limiter.take("write", KEY).headers()).toEqual({});
});
