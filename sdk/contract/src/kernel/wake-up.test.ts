import { expect, test } from "vitest";
import { WakeUp } from "./wake-up.ts";

const LONG_MS = 600_000;

test("a wait ends at a wake-up, and the next one waits for another", async () => {
  const wakeUp = new WakeUp();
  const first = wakeUp.wait(LONG_MS);
  wakeUp.wake();
  expect(await first).toBe(true);
  let isOver = false;
  const second = wakeUp.wait(null).then(() => {
    isOver = true;
  });
  await Promise.resolve();
  expect(isOver).toBe(false);
  wakeUp.wake();
  await second;
});

test("a wake-up that comes while nobody waits ends the next wait, once", async () => {
  const wakeUp = new WakeUp();
  wakeUp.wake();
  wakeUp.wake();
  expect(await wakeUp.wait(null)).toBe(true);
  const stopping = new AbortController();
  const next = wakeUp.wait(null, stopping.signal);
  stopping.abort();
  expect(await next).toBe(false);
});

test("a wait ends when its time is up, however that passes", async () => {
  const wakeUp = new WakeUp();
  expect(await wakeUp.wait(1)).toBe(true);
  const slept: number[] = [];
  const sleep = async (ms: number) => {
    slept.push(ms);
  };
  expect(await wakeUp.wait(LONG_MS, undefined, sleep)).toBe(true);
  expect(slept).toEqual([LONG_MS]);
});

test("a wake-up cuts the sleep short, and a sleep that rejects for it does no harm", async () => {
  const wakeUp = new WakeUp();
  const cut = Promise.withResolvers<void>();
  const sleep = (_: number, signal?: AbortSignal) =>
    new Promise<void>((_resolve, reject) => {
      signal?.addEventListener("abort", () => {
        reject(new Error("cut short"));
        cut.resolve();
      });
    });
  const waited = wakeUp.wait(LONG_MS, undefined, sleep);
  wakeUp.wake();
  expect(await waited).toBe(true);
  await cut.promise;
});

test("no wait begins once the signal has aborted", async () => {
  expect(await new WakeUp().wait(null, AbortSignal.abort())).toBe(false);
});
