import { LIMITS, Problem, Report } from "@towpath/contract";
import { pino } from "pino";
import { expect, test } from "vitest";
import type { Connection } from "./connection.ts";
import { ProtocolError, Unreachable } from "./errors.ts";
import { LOOK_MS, sleepingUntilTold, takeAll, talkative, UNHEARD, unhurried } from "./report.fixture.ts";
import { type Reporting, startReporting } from "./report.ts";

test("many attempts with many records report them in parts that the control plane takes", async () => {
  const attempts = Array.from({ length: 12 }, () => talkative(LIMITS.laneRecords + 100));
  const counts: number[] = [];
  const finished = Promise.withResolvers<void>();
  // A fake network: takes what the contract takes, and acknowledges all of it.
  const call: Connection["call"] = async (_verb, body) => {
    const report = Report.parse(body);
    counts.push(report.attempts.reduce((sum, { control, bulk }) => sum + control.length + bulk.length, 0));
    return takeAll(report);
  };
  const loop = startReporting(
    { ...unhurried(call), sleep: async () => {} },
    {
      reporting() {
        const waiting = attempts.filter(({ pending }) => pending());
        if (waiting.length === 0) finished.resolve();
        return waiting.map(({ reporting }) => reporting);
      },
      urgent: () => false,
      ...UNHEARD,
    },
    () => null,
  );
  await finished.promise;
  await loop.stop();
  expect(Math.max(...counts)).toBe(LIMITS.reportRecords);
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(12 * 2 * (LIMITS.laneRecords + 100));
});

test("an answer about the session that cannot be understood gives up no record", async () => {
  const { reporting, pending } = talkative(2);
  const givenUp: string[] = [];
  const finished = Promise.withResolvers<void>();
  let calls = 0;
  const call: Connection["call"] = async (_verb, body) => {
    calls += 1;
    if (calls <= 15) throw new ProtocolError("no JSON", "openSession");
    return takeAll(Report.parse(body));
  };
  const attempt: Reporting = { ...reporting, giveUp: async (_page, why) => void givenUp.push(why) };
  const loop = startReporting(
    { ...unhurried(call), sleep: async () => {} },
    {
      reporting() {
        if (!pending() || givenUp.length > 0) finished.resolve();
        return pending() ? [attempt] : [];
      },
      urgent: () => false,
      ...UNHEARD,
    },
    () => null,
  );
  await finished.promise;
  await loop.stop();
  expect({ givenUp, isPending: pending() }).toEqual({ givenUp: [], isPending: false });
});

test("records are gathered between reports, unless something waits for one", async () => {
  const rests: PromiseWithResolvers<void>[] = [];
  const said: number[] = [];
  const source = { ...talkative(0), urgent: false, control: 0 };
  const heard = Promise.withResolvers<void>();
  const call: Connection["call"] = async (_verb, body) => {
    const [{ attemptId, control }] = Report.parse(body).attempts as [Report["attempts"][number]];
    said.push(control.length);
    if (said.length === 3) heard.resolve();
    const acked = { controlAcked: control.at(-1)?.seq ?? 0, bulkAcked: 0 };
    const answer = { attemptId, status: "accepted", rejected: [], outcome: null, ...acked };
    return { answer: { attempts: [answer], commands: [] }, sentAtMs: 0 } as never;
  };
  const { reporting } = source;
  let acked = 0;
  const attempt: Reporting = {
    ...reporting,
    page: async () => ({
      control: Array.from({ length: source.control - acked }, (_, index) => ({ seq: acked + index + 1 })),
      bulk: [],
      bytes: 1,
    }),
    reported: async ({ controlAcked }) => {
      acked = controlAcked;
      return true;
    },
  };
  const loop = startReporting(
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
      sleep: sleepingUntilTold((ms, rest) => ms < LOOK_MS && rests.push(rest)),
      random: () => 0,
    },
    {
      reporting: () => (acked < source.control ? [attempt] : []),
      urgent: () => source.urgent,
      ...UNHEARD,
    },
    () => null,
  );
  const more = (records: number) => {
    source.control += records;
    loop.nudge();
  };
  more(1);
  await expect.poll(() => rests.length).toBe(1);
  more(1);
  more(1);
  expect(said).toEqual([1]);
  rests[0]?.resolve();
  await expect.poll(() => rests.length).toBe(2);
  expect(said).toEqual([1, 2]);
  source.urgent = true;
  more(1);
  await heard.promise;
  expect(said).toEqual([1, 2, 1]);
  await loop.stop();
});

test("a journal that could not be read is read again without a nudge", async () => {
  const looks: PromiseWithResolvers<void>[] = [];
  const { reporting, pending } = talkative(1);
  const reported = Promise.withResolvers<void>();
  let reads = 0;
  const attempt: Reporting = {
    ...reporting,
    async page(budget) {
      reads += 1;
      if (reads === 1) throw new Error("the disk is away");
      return await reporting.page(budget);
    },
  };
  const call: Connection["call"] = async (_verb, body) => {
    const [{ attemptId }] = Report.parse(body).attempts as [Report["attempts"][number]];
    reported.resolve();
    const acked = { controlAcked: 1, bulkAcked: 1 };
    const answer = { attemptId, status: "accepted", rejected: [], outcome: null, ...acked };
    return { answer: { attempts: [answer], commands: [] }, sentAtMs: 0 } as never;
  };
  const loop = startReporting(
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
      sleep: sleepingUntilTold((ms, look) => ms === LOOK_MS && looks.push(look)),
      random: () => 0,
    },
    {
      reporting: () => (pending() ? [attempt] : []),
      urgent: () => false,
      ...UNHEARD,
    },
    () => null,
  );
  await expect.poll(() => looks.length).toBe(1);
  expect(reads).toBe(1);
  looks[0]?.resolve();
  await reported.promise;
  await loop.stop();
});

test("two claims of one attempt are reported one after the other, the newer first", async () => {
  const heard: string[] = [];
  const both = Promise.withResolvers<void>();
  const claim = (epoch: number) => {
    const { reporting, pending } = talkative(1);
    const fence = { ...first.fence, epoch };
    const reported: Reporting["reported"] = async (answer, sentAtMs) => {
      heard.push(`claim ${epoch}: ${answer.status}`);
      if (heard.length === 2) both.resolve();
      return await reporting.reported(answer, sentAtMs);
    };
    return { reporting: { ...reporting, fence, reported }, pending };
  };
  const { reporting: first } = talkative(1);
  const claims = [claim(1), claim(2)];
  const call: Connection["call"] = async (_verb, body) => {
    // What was stored comes first in an answer, whatever its order in the report was.
    const parts = Report.parse(body).attempts.sort((a, b) => b.epoch - a.epoch);
    const attempts = parts.map(({ attemptId, epoch }) => ({
      attemptId,
      status: epoch === 2 ? "accepted" : "stale",
      rejected: [],
      outcome: null,
      controlAcked: 1,
      bulkAcked: 1,
    }));
    return { answer: { attempts, commands: [] }, sentAtMs: 0 } as never;
  };
  const loop = startReporting(
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
      sleep: sleepingUntilTold((ms, slept) => ms < LOOK_MS && slept.resolve()),
      random: () => 0,
    },
    {
      reporting: () => claims.filter(({ pending }) => pending()).map(({ reporting }) => reporting),
      urgent: () => false,
      ...UNHEARD,
    },
    () => null,
  );
  await both.promise;
  await loop.stop();
  expect(heard).toEqual(["claim 2: accepted", "claim 1: stale"]);
});

test("a report whose poll is refused is sent again without it", async () => {
  const { reporting } = talkative(0);
  let acked = 0;
  const said: string[] = [];
  const heard = Promise.withResolvers<void>();
  const call: Connection["call"] = async (_verb, body) => {
    const { attempts, next } = Report.parse(body);
    said.push(next === undefined ? "alone" : "with a question");
    if (next !== undefined) throw new Problem("bad-request", "Correct these fields: next.");
    const [{ attemptId, control }] = attempts as [Report["attempts"][number]];
    const answer = { attemptId, status: "accepted", rejected: [], outcome: null };
    heard.resolve();
    const acked = { controlAcked: control.at(-1)?.seq ?? 0, bulkAcked: 0 };
    return { answer: { attempts: [{ ...answer, ...acked }], commands: [] }, sentAtMs: 0 } as never;
  };
  const overs: unknown[] = [];
  const loop = startReporting(
    {
      connection: {
        call,
        session: () => Promise.reject(new Error("not asked")),
        protocol: () => 2,
        reopen: async () => {},
        close: async () => {},
      },
      log: pino({ level: "silent" }),
      clock: { nowMs: () => 0 },
      bootClock: { nowMs: () => 0 },
      sleep: sleepingUntilTold(() => {}),
      random: () => 0,
    },
    {
      reporting: () => (acked === 0 ? [{ ...reporting, page, reported }] : []),
      urgent: () => true,
      ...UNHEARD,
    },
    () => ({
      next: { free: 1, held: [], seq: 1, heard: 0 },
      over: (answer) => overs.push(answer),
    }),
  );
  await heard.promise;
  await loop.stop();
  expect(said).toEqual(["with a question", "alone"]);
  expect(overs).toEqual([null]);

  async function page() {
    return { control: [{ seq: 1, type: "ended" }], bulk: [], bytes: 1 };
  }
  async function reported({ controlAcked }: { controlAcked: number }) {
    acked = controlAcked;
    return true;
  }
});

test.each([
  ["is cut off", new Unreachable("it took too long"), true],
  ["is one too many", new Problem("too-many-requests", "They take too long.", { retryAfterMs: 1 }), true],
  ["meets a server that is down", new Problem("unavailable", "The database is away."), false],
])("a large report that %s goes again, smaller where that may help", async (_what, error, isSmaller) => {
  const budgets: number[] = [];
  const enough = Promise.withResolvers<void>();
  const { reporting } = talkative(LIMITS.laneRecords);
  const page: Reporting["page"] = async (budget) => {
    budgets.push(budget.bytes);
    if (budgets.length === 6) enough.resolve();
    return { ...(await reporting.page(budget)), bytes: budget.bytes };
  };
  const loop = startReporting(
    { ...unhurried(() => Promise.reject(error)), sleep: async () => {} },
    {
      reporting: () => [{ ...reporting, page }],
      urgent: () => true,
      ...UNHEARD,
    },
    () => null,
  );
  await enough.promise;
  await loop.stop();
  const divisors = budgets.slice(0, 6).map((bytes) => Math.round((budgets[0] ?? 0) / bytes));
  expect(divisors).toEqual(isSmaller ? [1, 2, 4, 8, 16, 16] : [1, 1, 1, 1, 1, 1]);
});
