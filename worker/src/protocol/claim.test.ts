import { type BodyInput, type Claim, type Claimed, type ROUTES, uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { type Claiming, type ClaimSource, startClaiming } from "./claim.ts";
import type { Connection } from "./connection.ts";

const NOTHING: Claimed = { assignments: [], commands: [], superseded: false };

let open: Claiming | null = null;
afterEach(async () => {
  await open?.stop();
  open = null;
});

/** The loop of a worker with one slot and a fake network: the test answers each poll. */
function startLoop(protocol: number) {
  const state = { free: 0, ends: false, changes: false };
  const polls: { body: Claim; answer: (claimed: Claimed) => void }[] = [];
  const sleeps: { ms: number; over: () => void }[] = [];
  const taken: Claimed[] = [];
  const call: Connection["call"] = (_verb, body, { signal } = {}) =>
    new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
      const answer = (claimed: Claimed) => resolve({ answer: claimed, sentAtMs: 0 } as never);
      polls.push({ body: (typeof body === "function" ? body() : body) as Claim, answer });
    });
  const source: ClaimSource = {
    free: () => state.free,
    amounts: () => null,
    held: () => [],
    draining: () => false,
    paused: () => null,
    reconciled: () => undefined,
    endsUnreported: () => state.ends,
    begun: async () => {},
    take(answer) {
      taken.push(answer);
      state.free -= answer.assignments.length;
      return state.changes || answer.assignments.length > 0;
    },
  };
  const session = () => Promise.reject(new Error("not asked"));
  const loop = startClaiming(
    {
      connection: { call, session, protocol: () => protocol, reopen: async () => {}, close: async () => {} },
      log: pino({ level: "silent" }),
      clock: { nowMs: () => 0 },
      bootClock: { nowMs: () => 0 },
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          sleeps.push({ ms, over: resolve });
          signal?.addEventListener("abort", () => reject(signal.reason));
        }),
      random: () => 0,
    },
    source,
  );
  open = loop;
  /** An attempt has ended, and its report is about to leave. */
  const end = () => {
    Object.assign(state, { free: 1, ends: true });
    loop.nudge();
  };
  return { loop, state, polls, sleeps, taken, end };
}

const work = () => ({ ...NOTHING, assignments: [{ attemptId: uuidv7(Date.now()) }] }) as unknown as Claimed;

test("a slot freed by an end is offered with its report, without a poll", async () => {
  const { loop, state, polls, sleeps, taken, end } = startLoop(2);
  await expect.poll(() => polls.length).toBe(1);
  end();
  await expect.poll(() => sleeps.length).toBe(1);
  const ride = loop.ride();
  expect(ride?.next).toMatchObject({ free: 1, seq: 2, heard: 0 });
  polls[0]?.answer({ ...NOTHING, superseded: true });
  await expect.poll(() => taken.length).toBe(1);
  const given = work();
  state.ends = false;
  ride?.over(given, 0);
  await expect.poll(() => polls.length).toBe(2);
  expect(taken).toEqual([{ ...NOTHING, superseded: true }, given]);
  expect(polls[1]?.body).toMatchObject({ free: 0, seq: 3, heard: 2 });
});

test("answers at once that bring no run are polled for slowly, even if each has a new command", async () => {
  const { state, polls, sleeps } = startLoop(2);
  state.changes = true;
  for (let answered = 0; sleeps.length === 0; answered++) {
    expect(answered).toBeLessThan(20);
    await expect.poll(() => polls.length > answered || sleeps.length > 0).toBe(true);
    polls[answered]?.answer(NOTHING);
  }
  expect(sleeps).toMatchObject([{ ms: 500 }]);
});

test("the same slots are not offered twice, nor when none is free", async () => {
  const { loop, polls, end } = startLoop(2);
  await expect.poll(() => polls.length).toBe(1);
  expect(loop.ride()).toBeNull();
  end();
  expect(loop.ride()).not.toBeNull();
  expect(loop.ride()).toBeNull();
});

test("a report without work, or a lost one, is followed by a poll that waits", async () => {
  const { loop, state, polls, end } = startLoop(2);
  await expect.poll(() => polls.length).toBe(1);
  end();
  const lost = loop.ride();
  state.ends = false;
  lost?.over(null, 0);
  await expect.poll(() => polls.length).toBe(2);
  // The first poll is still under way. This one cannot know what it brings.
  expect(polls[1]?.body).toMatchObject({ free: 1, seq: 3, heard: 0, waitMs: 25_000 });
});

test("if no report leaves soon, a poll asks", async () => {
  const { polls, sleeps, end } = startLoop(2);
  await expect.poll(() => polls.length).toBe(1);
  end();
  await expect.poll(() => sleeps.length).toBe(1);
  expect(polls).toHaveLength(1);
  sleeps[0]?.over();
  await expect.poll(() => polls.length).toBe(2);
  expect(polls[1]?.body).toMatchObject({ free: 1, seq: 2 });
});

test("an older control plane is asked by polls only", async () => {
  const { loop, polls, sleeps, end } = startLoop(1);
  await expect.poll(() => polls.length).toBe(1);
  end();
  await expect.poll(() => polls.length).toBe(2);
  expect(sleeps).toEqual([]);
  expect(loop.ride()).toBeNull();
});

test("after an answer with work, the next poll waits for the launch", async () => {
  const answers: PromiseWithResolvers<unknown>[] = [];
  const second = Promise.withResolvers<void>();
  // A fake network: the test answers each poll.
  const call: Connection["call"] = async (_verb, body, { signal } = {}) => {
    const answer = Promise.withResolvers<unknown>();
    signal?.addEventListener("abort", () => answer.reject(signal.reason));
    answers.push(answer);
    const said = (typeof body === "function" ? body() : body) as BodyInput<(typeof ROUTES)["claim"]>;
    if (said.seq === 2) second.resolve();
    return { answer: await answer.promise, sentAtMs: 0 } as never;
  };
  const taken = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const source: ClaimSource = {
    free: () => 1,
    amounts: () => null,
    held: () => [],
    draining: () => false,
    paused: () => null,
    endsUnreported: () => false,
    reconciled: () => undefined,
    take: ({ assignments }) => assignments.length > 0,
    begun: () => {
      taken.resolve();
      return begun.promise;
    },
  };
  const loop = startClaiming(
    {
      connection: {
        call,
        session: () => Promise.reject(new Error("not asked")),
        protocol: () => 1,
        reopen: async () => {},
        close: async () => {},
      },
      log: pino({ level: "silent" }),
      clock: { nowMs: () => 0 },
      bootClock: { nowMs: () => 0 },
      sleep: async () => {},
      random: () => 0,
    },
    source,
  );
  answers[0]?.resolve({ assignments: [{ attemptId: uuidv7(0) }], commands: [], superseded: false });
  await taken.promise;
  loop.nudge();
  await new Promise((resolve) => setImmediate(resolve));
  expect(answers).toHaveLength(1);
  begun.resolve();
  await second.promise;
  await loop.stop();
});
