import { type Fence, LIMITS, Problem, Report, uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import { expect, test } from "vitest";
import type { Sleep } from "../host/index.ts";
import type { Connection } from "./connection.ts";
import { Unreachable } from "./errors.ts";
import { type NumberedRecord, type Reporting, startReporting } from "./report.ts";

/** How often it is looked for something to report although nobody rang. */
const LOOK_MS = 1_000;

/** An attempt that has so many records of each lane to report. */
function talkative(count: number) {
  const fence: Fence = { attemptId: uuidv7(Date.now()), epoch: 1, nonce: "n".repeat(32) };
  const done = { control: 0, bulk: 0 };
  const after = (acked: number, most: number): NumberedRecord[] =>
    Array.from({ length: Math.min(most, count - acked) }, (_, index) => ({ seq: acked + index + 1 }));
  const reporting: Reporting = {
    fence,
    async page({ records }) {
      return { control: after(done.control, records), bulk: after(done.bulk, records), bytes: 1 };
    },
    async reported({ controlAcked, bulkAcked }) {
      Object.assign(done, { control: controlAcked, bulk: bulkAcked });
      return true;
    },
    async giveUp(_page, why) {
      throw new Error(why);
    },
  };
  return { reporting, pending: () => done.control < count || done.bulk < count };
}

/** Sleeps that end when the test has them end, or their signal aborts. */
function sleepingUntilTold(began: (ms: number, slept: PromiseWithResolvers<void>) => void): Sleep {
  return async (ms, signal) => {
    signal?.throwIfAborted();
    const slept = Promise.withResolvers<void>();
    signal?.addEventListener("abort", () => slept.reject(signal.reason));
    began(ms, slept);
    await slept.promise;
  };
}

/** What a loop is given in which no pause ends by itself. */
function unhurried(call: Connection["call"]) {
  const session = () => Promise.reject(new Error("not asked"));
  return {
    connection: { call, session, protocol: () => 1, close: async () => {} },
    log: pino({ level: "silent" }),
    bootClock: { nowMs: () => 0 },
    sleep: sleepingUntilTold(() => {}),
    random: () => 0,
  };
}

test("many attempts with much to say report it in parts that the control plane takes", async () => {
  const attempts = Array.from({ length: 12 }, () => talkative(LIMITS.laneRecords + 100));
  const counts: number[] = [];
  const finished = Promise.withResolvers<void>();
  // The network's edge: takes what the contract takes, and acknowledges all of it.
  const call: Connection["call"] = async (_verb, body) => {
    const report = Report.parse(body);
    counts.push(report.attempts.reduce((sum, { control, bulk }) => sum + control.length + bulk.length, 0));
    const answers = report.attempts.map(({ attemptId, control, bulk }) => ({
      ...{ attemptId, status: "accepted", rejected: [], outcome: null },
      ...{ controlAcked: control.at(-1)?.seq ?? 0, bulkAcked: bulk.at(-1)?.seq ?? 0 },
    }));
    return { answer: { attempts: answers, commands: [] }, sentAtMs: 0 } as never;
  };
  const loop = startReporting(
    {
      connection: {
        call,
        session: () => Promise.reject(new Error("not asked")),
        protocol: () => 1,
        close: async () => {},
      },
      log: pino({ level: "silent" }),
      bootClock: { nowMs: () => 0 },
      sleep: async () => {},
      random: () => 0,
    },
    {
      reporting() {
        const waiting = attempts.filter(({ pending }) => pending());
        if (waiting.length === 0) finished.resolve();
        return waiting.map(({ reporting }) => reporting);
      },
      urgent: () => false,
      answered: () => {},
      unanswered: () => {},
    },
    () => null,
  );
  await finished.promise;
  await loop.stop();
  expect(Math.max(...counts)).toBe(LIMITS.reportRecords);
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(12 * 2 * (LIMITS.laneRecords + 100));
});

test("between reports more is gathered, unless somebody waits for what there is", async () => {
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
      ...{ bulk: [], bytes: 1 },
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
        close: async () => {},
      },
      log: pino({ level: "silent" }),
      bootClock: { nowMs: () => 0 },
      sleep: sleepingUntilTold((ms, rest) => ms < LOOK_MS && rests.push(rest)),
      random: () => 0,
    },
    {
      reporting: () => (acked < source.control ? [attempt] : []),
      urgent: () => source.urgent,
      answered: () => {},
      unanswered: () => {},
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

test("a journal that could not be read is looked at again although nobody rings", async () => {
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
        close: async () => {},
      },
      log: pino({ level: "silent" }),
      bootClock: { nowMs: () => 0 },
      sleep: sleepingUntilTold((ms, look) => ms === LOOK_MS && looks.push(look)),
      random: () => 0,
    },
    {
      reporting: () => (pending() ? [attempt] : []),
      urgent: () => false,
      answered: () => {},
      unanswered: () => {},
    },
    () => null,
  );
  await expect.poll(() => looks.length).toBe(1);
  expect(reads).toBe(1);
  looks[0]?.resolve();
  await reported.promise;
  await loop.stop();
});

test("two claims of one attempt are reported one after the other, the newer first, so that each hears what is said of it", async () => {
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
    // What was stored comes first in an answer, whichever its place was in the report.
    const parts = Report.parse(body).attempts.sort((a, b) => b.epoch - a.epoch);
    const attempts = parts.map(({ attemptId, epoch }) => ({
      ...{ attemptId, status: epoch === 2 ? "accepted" : "stale", rejected: [], outcome: null },
      ...{ controlAcked: 1, bulkAcked: 1 },
    }));
    return { answer: { attempts, commands: [] }, sentAtMs: 0 } as never;
  };
  const loop = startReporting(
    {
      connection: {
        call,
        session: () => Promise.reject(new Error("not asked")),
        protocol: () => 1,
        close: async () => {},
      },
      log: pino({ level: "silent" }),
      bootClock: { nowMs: () => 0 },
      sleep: sleepingUntilTold((ms, slept) => ms < LOOK_MS && slept.resolve()),
      random: () => 0,
    },
    {
      reporting: () => claims.filter(({ pending }) => pending()).map(({ reporting }) => reporting),
      urgent: () => false,
      answered: () => {},
      unanswered: () => {},
    },
    () => null,
  );
  await both.promise;
  await loop.stop();
  expect(heard).toEqual(["claim 2: accepted", "claim 1: stale"]);
});

test("a report whose question is refused goes again without it", async () => {
  const { reporting } = talkative(0);
  let acked = 0;
  const said: string[] = [];
  const heard = Promise.withResolvers<void>();
  const call: Connection["call"] = async (_verb, body) => {
    const { attempts, next } = Report.parse(body);
    said.push(next === undefined ? "alone" : "with a question");
    if (next !== undefined) throw new Problem("bad-request", "Look at: next.");
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
        close: async () => {},
      },
      log: pino({ level: "silent" }),
      bootClock: { nowMs: () => 0 },
      sleep: sleepingUntilTold(() => {}),
      random: () => 0,
    },
    {
      reporting: () => (acked === 0 ? [{ ...reporting, page, reported }] : []),
      urgent: () => true,
      answered: () => {},
      unanswered: () => {},
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

test("an attempt of which nothing is taken is kept back alone: what comes meanwhile is reported at once", async () => {
  const [stuck, fresh] = [talkative(1), talkative(1)];
  const refusing: Reporting = { ...stuck.reporting, reported: async () => false };
  let isThere = false;
  const reports: string[][] = [];
  const refused = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  const call: Connection["call"] = async (_verb, body) => {
    const { attempts } = Report.parse(body);
    reports.push(attempts.map(({ attemptId }) => attemptId));
    if (reports.length === 1) refused.resolve();
    else answered.resolve();
    const answers = attempts.map(({ attemptId }) => {
      const acked = attemptId === stuck.reporting.fence.attemptId ? 0 : 1;
      const lanes = { controlAcked: acked, bulkAcked: acked };
      return { attemptId, status: "accepted", rejected: [], outcome: null, ...lanes };
    });
    return { answer: { attempts: answers, commands: [] }, sentAtMs: 0 } as never;
  };
  const loop = startReporting(
    unhurried(call),
    {
      reporting: () => [refusing, ...(isThere && fresh.pending() ? [fresh.reporting] : [])],
      urgent: () => true,
      answered: () => {},
      unanswered: () => {},
    },
    () => null,
  );
  await refused.promise;
  isThere = true;
  loop.nudge();
  await answered.promise;
  await loop.stop();
  expect(reports).toEqual([[stuck.reporting.fence.attemptId], [fresh.reporting.fence.attemptId]]);
});

test("a question that is refused keeps its attempt alone from being answered", async () => {
  const asked = Promise.withResolvers<void>();
  const open = new Set<string>();
  const asking = (): Reporting => {
    const { reporting } = talkative(0);
    const { attemptId } = reporting.fence;
    open.add(attemptId);
    return {
      ...reporting,
      page: async () => ({ control: [], bulk: [], bytes: 0, acked: { control: 1, bulk: 1 } }),
      reported: async () => {
        open.delete(attemptId);
        if (open.size === 1) asked.resolve();
        return true;
      },
    };
  };
  const attempts = Array.from({ length: 5 }, asking);
  const refused = attempts[2]?.fence.attemptId;
  const call: Connection["call"] = async (_verb, body) => {
    const report = Report.parse(body);
    if (report.attempts.some(({ attemptId }) => attemptId === refused))
      throw new Problem("bad-request", "no");
    const acked = { controlAcked: 1, bulkAcked: 1 };
    const answers = report.attempts.map(({ attemptId }) => ({
      ...{ attemptId, status: "accepted", rejected: [], outcome: null, ...acked },
    }));
    return { answer: { attempts: answers, commands: [] }, sentAtMs: 0 } as never;
  };
  const loop = startReporting(
    unhurried(call),
    {
      reporting: () => attempts.filter(({ fence }) => open.has(fence.attemptId)),
      urgent: () => true,
      answered: () => {},
      unanswered: () => {},
    },
    () => null,
  );
  await asked.promise;
  expect([...open]).toEqual([refused]);
  await loop.stop();
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
      answered: () => {},
      unanswered: () => {},
    },
    () => null,
  );
  await enough.promise;
  await loop.stop();
  const divisors = budgets.slice(0, 6).map((bytes) => Math.round((budgets[0] ?? 0) / bytes));
  expect(divisors).toEqual(isSmaller ? [1, 2, 4, 8, 16, 16] : [1, 1, 1, 1, 1, 1]);
});
