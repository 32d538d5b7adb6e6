import { LIMITS, Problem, Report } from "@towpath/contract";
import { expect, test } from "vitest";
import type { Connection } from "./connection.ts";
import {
  asking,
  LOOK_MS,
  sleepingUntilTold,
  takeAll,
  talkative,
  UNHEARD,
  unhurried,
} from "./report.fixture.ts";
import { type Reporting, startReporting } from "./report.ts";

test("only the attempt whose records are not taken is delayed: others are reported at once", async () => {
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
      ...UNHEARD,
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

test("a refused question delays only its own attempt", async () => {
  const asked = Promise.withResolvers<void>();
  const open = new Set<string>();
  const addAsking = () => {
    const attempt = asking(() => {
      open.delete(attempt.fence.attemptId);
      if (open.size === 1) asked.resolve();
    });
    open.add(attempt.fence.attemptId);
    return attempt;
  };
  const attempts = Array.from({ length: 5 }, addAsking);
  const refused = attempts[2]?.fence.attemptId;
  const call: Connection["call"] = async (_verb, body) => {
    const report = Report.parse(body);
    if (report.attempts.some(({ attemptId }) => attemptId === refused))
      throw new Problem("bad-request", "no");
    const acked = { controlAcked: 1, bulkAcked: 1 };
    const answers = report.attempts.map(({ attemptId }) => ({
      attemptId,
      status: "accepted",
      rejected: [],
      outcome: null,
      ...acked,
    }));
    return { answer: { attempts: answers, commands: [] }, sentAtMs: 0 } as never;
  };
  const loop = startReporting(
    unhurried(call),
    {
      reporting: () => attempts.filter(({ fence }) => open.has(fence.attemptId)),
      urgent: () => true,
      ...UNHEARD,
    },
    () => null,
  );
  await asked.promise;
  expect([...open]).toEqual([refused]);
  await loop.stop();
});

test("an attempt with more records than fit a report does not delay the others", async () => {
  const carried: string[][] = [];
  const done = Promise.withResolvers<void>();
  const filling = Array.from({ length: 2 }, () => talkative(100 * LIMITS.laneRecords).reporting).map(
    (reporting): Reporting => ({
      ...reporting,
      page: async (budget) => ({ ...(await reporting.page(budget)), bytes: LIMITS.reportBytes }),
    }),
  );
  const attempts = [...filling, asking()];
  const call: Connection["call"] = async (_verb, body) => {
    const report = Report.parse(body);
    carried.push(report.attempts.map(({ attemptId }) => attemptId));
    if (carried.length === 6) done.resolve();
    return takeAll(report);
  };
  const source = { ...UNHEARD, reporting: () => attempts, urgent: () => true };
  const loop = startReporting(unhurried(call), source, () => null);
  await done.promise;
  await loop.stop();
  const [a, b, c] = attempts.map(({ fence }) => fence.attemptId);
  expect(carried.slice(0, 6)).toEqual([[a], [b], [c, a], [b], [a], [c, b]]);
});

test("after refused questions of several attempts in a row, the worker pauses", async () => {
  const heard: string[] = [];
  const paused = Promise.withResolvers<void>();
  const attempts = Array.from({ length: 20 }, () => asking());
  const call: Connection["call"] = async () => {
    throw new Problem("bad-request", "no");
  };
  const hear = (what: string) => () => void heard.push(what);
  const loop = startReporting(
    { ...unhurried(call), sleep: sleepingUntilTold((ms) => ms < LOOK_MS && paused.resolve()) },
    {
      reporting: () => attempts,
      urgent: () => true,
      sending: hear("sent"),
      refused: hear("refused"),
      answered: hear("answered"),
      unanswered: hear("unanswered"),
    },
    () => null,
  );
  await paused.promise;
  await loop.stop();
  const refusal = ["sent", "refused"];
  // All of them together, then three alone.
  expect(heard).toEqual([...refusal, ...refusal, ...refusal, ...refusal, "unanswered"]);
});

test("a report without an answer is sent again at once when another call has an answer", async () => {
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let reports = 0;
  const call: Connection["call"] = async (_verb, body) => {
    reports += 1;
    if (reports === 1) throw new Error("nobody there");
    second.resolve();
    return takeAll(Report.parse(body));
  };
  const { reporting, pending } = talkative(1);
  const source = { ...UNHEARD, reporting: () => (pending() ? [reporting] : []), urgent: () => true };
  const loop = startReporting(unhurried(call), { ...source, unanswered: () => first.resolve() }, () => null);
  await first.promise;
  loop.retry?.();
  await second.promise;
  await loop.stop();
  expect(pending()).toBe(false);
});
