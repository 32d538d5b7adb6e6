import { type Fence, type Report, uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import type { Sleep } from "../host/index.ts";
import type { Connection } from "./connection.ts";
import type { NumberedRecord, Reporting } from "./report.ts";

/** The functions of a source of reports that a test does not need. */
export const UNHEARD = { sending: () => {}, answered: () => {}, refused: () => {}, unanswered: () => {} };

/** How often the loop looks for records without a nudge. */
export const LOOK_MS = 1_000;

/** An attempt that has this many records of each lane to report. */
export function talkative(count: number) {
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

/** Sleeps that end when the test ends them, or when their signal aborts. */
export function sleepingUntilTold(began: (ms: number, slept: PromiseWithResolvers<void>) => void): Sleep {
  return async (ms, signal) => {
    signal?.throwIfAborted();
    const slept = Promise.withResolvers<void>();
    signal?.addEventListener("abort", () => slept.reject(signal.reason));
    began(ms, slept);
    await slept.promise;
  };
}

/** The answer of a control plane that takes a whole report. */
export function takeAll(report: Report) {
  const attempts = report.attempts.map(({ attemptId, control, bulk }) => ({
    attemptId,
    status: "accepted",
    rejected: [],
    outcome: null,
    controlAcked: control.at(-1)?.seq ?? 0,
    bulkAcked: bulk.at(-1)?.seq ?? 0,
  }));
  return { answer: { attempts, commands: [] }, sentAtMs: 0 } as never;
}

/** An attempt that only asks. */
export function asking(reported: () => void = () => {}): Reporting {
  return {
    ...talkative(0).reporting,
    page: async () => ({ control: [], bulk: [], bytes: 0, acked: { control: 1, bulk: 1 } }),
    reported: async () => {
      reported();
      return true;
    },
  };
}

/** What a loop needs, with pauses that do not end by themselves. */
export function unhurried(call: Connection["call"]) {
  const session = () => Promise.reject(new Error("not asked"));
  return {
    connection: { call, session, protocol: () => 1, reopen: async () => {}, close: async () => {} },
    log: pino({ level: "silent" }),
    clock: { nowMs: () => 0 },
    bootClock: { nowMs: () => 0 },
    sleep: sleepingUntilTold(() => {}),
    random: () => 0,
  };
}
