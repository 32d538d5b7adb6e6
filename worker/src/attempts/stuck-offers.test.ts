import { pino } from "pino";
import { expect, test } from "vitest";
import { AnsweredTime, type Owed, StuckOffers } from "./stuck-offers.ts";

/** Attempts of an offering, on clocks that the test moves. */
function openStuck(...owed: Owed[]) {
  const state = { answeredMs: 0, atMs: 0 };
  const logged: unknown[] = [];
  const log = pino({}, { write: (line) => void logged.push(JSON.parse(line)) });
  const stuck = new StuckOffers(
    { log, bootClock: { nowMs: () => state.atMs } },
    {
      all: () => owed,
      asked: new Map<string, unknown>(),
      get answeredMs() {
        return state.answeredMs;
      },
    },
  );
  const waitsAfter = (args: { answeredMs?: number; ms: number }) => {
    state.answeredMs += args.answeredMs ?? 0;
    state.atMs += args.ms;
    return stuck.waits();
  };
  return { waitsAfter, logged };
}

const IDLE = { asks: false, resends: false, progress: 0, stop: null, assignment: null } as const;
const rest = { stored: null, letGo: async () => {} };

test("a process that cannot be killed is waited for until its grace and a minute are over", () => {
  const going = { ...IDLE, ...rest, name: "a.1", phase: "launched", stop: "abandoned" } as const;
  const { waitsAfter, logged } = openStuck({ ...going, stored: { spec: { killGraceMs: 30_000 } } });
  expect(waitsAfter({ ms: 0 })).toBe(true);
  expect(waitsAfter({ ms: 89_999, answeredMs: 89_999 })).toBe(true);
  expect(logged).toEqual([]);
  expect(waitsAfter({ ms: 1 })).toBe(false);
  expect(logged).toMatchObject([{ attempt: "a.1", going: true }]);
  expect(waitsAfter({ ms: 100_000 })).toBe(false);
});

test("an attempt without an answer is waited for while none is answered, and for a minute once others are", () => {
  const letGo: string[] = [];
  const asking = { ...IDLE, ...rest, name: "a.1", phase: "closing", asks: true } as const;
  const { waitsAfter } = openStuck({ ...asking, letGo: async () => void letGo.push(asking.name) });
  expect(waitsAfter({ ms: 0 })).toBe(true);
  expect(waitsAfter({ ms: 3_600_000 })).toBe(true);
  expect(waitsAfter({ ms: 59_999, answeredMs: 59_999 })).toBe(true);
  expect(letGo).toEqual([]);
  expect(waitsAfter({ ms: 1, answeredMs: 1 })).toBe(false);
  expect(letGo).toEqual([asking.name]);
});

test("an attempt that sends records again is waited for while it makes progress", () => {
  const sending = { ...IDLE, ...rest, name: "a.1", phase: "launched", resends: true } as const;
  const owed: { -readonly [Key in keyof Owed]: Owed[Key] } = { ...sending };
  const { waitsAfter } = openStuck(owed);
  for (let progress = 0; progress < 10; progress++) {
    owed.progress = progress;
    expect(waitsAfter({ ms: 59_000, answeredMs: 59_000 })).toBe(true);
  }
  expect(waitsAfter({ ms: 60_000, answeredMs: 60_000 })).toBe(false);
});

test("an attempt is waited for while any other makes progress", () => {
  const letGo: string[] = [];
  const all = Array.from({ length: 5 }, (_, index) => {
    const name = `${index}.1`;
    const sending = { ...IDLE, ...rest, name, phase: "closing", resends: true } as const;
    return { ...sending, letGo: async () => void letGo.push(name) } as {
      -readonly [Key in keyof Owed]: Owed[Key];
    };
  });
  const { waitsAfter } = openStuck(...all);
  expect(waitsAfter({ ms: 0 })).toBe(true);
  for (const one of all.slice(0, 4)) {
    one.progress += 1;
    expect(waitsAfter({ ms: 40_000, answeredMs: 40_000 })).toBe(true);
    one.resends = false;
    expect(waitsAfter({ ms: 40_000, answeredMs: 40_000 })).toBe(true);
  }
  expect(letGo).toEqual([]);
  expect(waitsAfter({ ms: 60_000, answeredMs: 60_000 })).toBe(false);
  expect(letGo).toEqual(["4.1"]);
});

test("the progress of others does not prolong the wait for a process that cannot be killed", () => {
  const going = { ...IDLE, ...rest, name: "a.1", phase: "launched", stop: "abandoned" } as const;
  const sending = { ...IDLE, ...rest, name: "b.1", phase: "launched", resends: true } as const;
  const other: { -readonly [Key in keyof Owed]: Owed[Key] } = { ...sending };
  const { waitsAfter, logged } = openStuck(going, other);
  expect(waitsAfter({ ms: 0 })).toBe(true);
  other.progress += 1;
  expect(waitsAfter({ ms: 59_999, answeredMs: 59_999 })).toBe(true);
  other.progress += 1;
  expect(waitsAfter({ ms: 1, answeredMs: 1 })).toBe(true);
  expect(logged).toMatchObject([{ attempt: "a.1", going: true }]);
});

test("while a report is under way, other answers do not count", () => {
  const time = new AnsweredTime();
  time.reported(0);
  time.reportSent();
  for (let nowMs = 10_000; nowMs <= 300_000; nowMs += 10_000) time.answered(nowMs);
  expect(time.totalMs).toBe(0);
  time.reported(300_000);
  // A silence counts only up to the usual length.
  expect(time.totalMs).toBe(30_000);
  time.answered(310_000);
  expect(time.totalMs).toBe(40_000);
});

test("after a report that was rejected as a whole, other answers count again", () => {
  const time = new AnsweredTime();
  time.reported(0);
  time.reportSent();
  time.reportRefused();
  time.answered(10_000);
  expect(time.totalMs).toBe(10_000);
});

test("after a report without an answer, nothing counts until one is answered", () => {
  const time = new AnsweredTime();
  time.reported(0);
  time.reportSent();
  time.reportFailed();
  for (let nowMs = 10_000; nowMs <= 300_000; nowMs += 10_000) time.answered(nowMs);
  time.reportSent();
  time.reported(310_000);
  expect(time.totalMs).toBe(0);
  time.answered(320_000);
  expect(time.totalMs).toBe(10_000);
});
