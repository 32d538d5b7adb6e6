import { FAILED_KEYS, Problem } from "@towpath/contract";
import { expect, test } from "vitest";
import { watchFailedKeys } from "./failed-keys.ts";

test("the pause doubles with each failure after it, up to the longest, and is dropped at last", async () => {
  const clock = { nowMs: 0 };
  const failed = watchFailedKeys(() => clock.nowMs);
  const fail = () =>
    failed
      .watch({ address: () => "a", check: () => Promise.reject(new Problem("unauthenticated", "no")) })
      .catch((problem: Problem) => problem.retryAfterMs);
  for (let count = 0; count < FAILED_KEYS.free; count++) expect(await fail()).toBeNull();
  const pauses: number[] = [];
  for (let count = 0; count < 12; count++) {
    const ms = Number(await fail());
    pauses.push(ms);
    clock.nowMs += ms;
  }
  expect(pauses.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
  expect(pauses.at(-1)).toBe(FAILED_KEYS.longestPauseMs);
  clock.nowMs += FAILED_KEYS.forgottenAfterMs;
  expect(await fail()).toBeNull();
});

test("paused addresses share a few checks at once, and take turns", async () => {
  const failed = watchFailedKeys(() => 0);
  const no = () => Promise.reject(new Problem("unauthenticated", "no"));
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const send = async (address: string) => {
    const read = () => new Promise<void>((resolve) => begun.push(address) && ends.push(resolve));
    return failed.watch({ address: () => address, check: (turn) => turn(read) });
  };
  for (const address of ["a", "b", "c"])
    for (let count = 0; count <= FAILED_KEYS.free; count++)
      await failed.watch({ address: () => address, check: no }).catch(() => {});
  const sent = ["a", "a", "a", "a", "a", "a", "b", "b", "c"].map(send);
  await Promise.resolve();
  expect(begun).toEqual(Array(FAILED_KEYS.checksAtOnce).fill("a"));
  for (let end = ends.shift(); end !== undefined; end = ends.shift()) {
    end();
    await new Promise(setImmediate);
  }
  await Promise.all(sent);
  expect(begun).toEqual(["a", "a", "a", "a", "b", "c", "a", "b", "a"]);
});
