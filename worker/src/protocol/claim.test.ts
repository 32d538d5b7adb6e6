import { type BodyInput, type ROUTES, uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import { expect, test } from "vitest";
import { type ClaimSource, startClaiming } from "./claim.ts";
import type { Connection } from "./connection.ts";

test("after an answer that brought something, the next poll gives way to its launch", async () => {
  const answers: PromiseWithResolvers<unknown>[] = [];
  const second = Promise.withResolvers<void>();
  // The network's edge: each poll is answered when the test says so.
  const call: Connection["call"] = async (_verb, body, { signal } = {}) => {
    const answer = Promise.withResolvers<unknown>();
    signal?.addEventListener("abort", () => answer.reject(signal.reason));
    answers.push(answer);
    if ((body as BodyInput<(typeof ROUTES)["claim"]>).seq === 2) second.resolve();
    return { answer: await answer.promise, sentAtMs: 0 } as never;
  };
  const taken = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const source: ClaimSource = {
    ...{ free: () => 1, amounts: () => null, held: () => [], draining: () => false, paused: () => null },
    take: ({ assignments }) => assignments.length > 0,
    begun: () => {
      taken.resolve();
      return begun.promise;
    },
  };
  const loop = startClaiming(
    {
      connection: { call, session: () => Promise.reject(new Error("not asked")), close: async () => {} },
      log: pino({ level: "silent" }),
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
