import { pino } from "pino";
import { expect, test } from "vitest";
import { createBreaker } from "./breaker.ts";

function setUp() {
  let nowMs = 0;
  const pauses: number[] = [];
  const breaker = createBreaker(
    { clock: { nowMs: () => nowMs }, log: pino({ level: "silent" }), wakeAfter: (ms) => pauses.push(ms) },
    3,
  );
  return {
    breaker,
    pauses,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

test("after several failures in a row a worker takes nothing, then one attempt, and pauses longer each time", () => {
  const { breaker, pauses, pass } = setUp();
  breaker.failed("a");
  breaker.failed("b");
  expect(breaker.allow(4)).toBe(4);
  expect(breaker.paused()).toBeNull();
  breaker.failed("c");
  expect(breaker.allow(4)).toBe(0);
  expect(breaker.paused()).toEqual({ forMs: pauses[0], reason: "c" });
  pass(pauses[0] ?? 0);
  expect(breaker.paused()).toBeNull();
  expect(breaker.allow(4)).toBe(1);
  breaker.failed("d");
  expect(breaker.allow(4)).toBe(0);
  expect(pauses[1]).toBe((pauses[0] ?? 0) * 2);
  pass(pauses[1] ?? 0);
  breaker.succeeded();
  expect(breaker.allow(4)).toBe(4);
});

test("a success in between begins the count anew", () => {
  const { breaker } = setUp();
  for (let round = 0; round < 5; round++) {
    breaker.failed("x");
    breaker.failed("x");
    breaker.succeeded();
  }
  expect(breaker.allow(4)).toBe(4);
});
