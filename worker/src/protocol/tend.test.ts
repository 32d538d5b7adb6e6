import { pino } from "pino";
import { expect, test } from "vitest";
import type { Connection } from "./connection.ts";
import { startTending } from "./tend.ts";

test("answers at once are asked for slowly, even if each says something new about jobs", async () => {
  const asked: number[] = [];
  const rests = Promise.withResolvers<number>();
  const call: Connection["call"] = async () => {
    asked.push(asked.length);
    if (asked.length > 20) {
      rests.reject(new Error("it asks without a pause"));
      return await new Promise(() => {});
    }
    return { answer: { jobs: [], specs: [], cancel: [], gone: [], wanted: true }, sentAtMs: 0 } as never;
  };
  const session = () => Promise.reject(new Error("not asked"));
  const loop = startTending(
    {
      connection: { call, session, protocol: () => 3, reopen: async () => {}, close: async () => {} },
      log: pino({ level: "silent" }),
      clock: { nowMs: () => 0 },
      bootClock: { nowMs: () => 0 },
      sleep: (ms, signal) =>
        new Promise((_, reject) => {
          rests.resolve(ms);
          signal?.addEventListener("abort", () => reject(signal.reason));
        }),
      random: () => 0,
    },
    {
      free: () => 1,
      held: () => [],
      changes: () => [],
      urgent: () => false,
      told: () => {},
      take: () => true,
    },
  );
  await expect(rests.promise).resolves.toBe(500);
  await loop.stop();
});
