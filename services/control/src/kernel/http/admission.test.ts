import { Problem } from "@towpath/contract";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { watchAdmission } from "./admission.ts";
import { ANONYMOUS } from "./caller.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Wake-ups that never arrive. */
const DEAF = { publish() {}, subscribe: () => () => {}, close: async () => {} };

test("a revoked key is noticed without a wake-up, and nothing is asked after a stop", async () => {
  let [asked, isRevoked] = [0, false];
  const ask = async () => {
    asked += 1;
    if (isRevoked) throw new Problem("unauthenticated", "The key is revoked.");
    return ANONYMOUS;
  };
  const watch = () => watchAdmission({ wakes: DEAF }, { admitted: { ...ANONYMOUS, keyId: "key" }, ask });
  const [watched, stopped] = [watch(), watch()];
  stopped.stop();
  await vi.advanceTimersByTimeAsync(65_000);
  expect([asked, watched.over.aborted]).toEqual([2, false]);
  isRevoked = true;
  await vi.advanceTimersByTimeAsync(30_000);
  expect([asked, watched.over.aborted, stopped.over.aborted]).toEqual([3, true, false]);
  await vi.advanceTimersByTimeAsync(300_000);
  expect(asked).toBe(3);
});
