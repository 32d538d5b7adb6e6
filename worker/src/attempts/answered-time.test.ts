import { expect, test } from "vitest";
import { AnsweredTime } from "./answered-time.ts";

test("while a report is under way, other answers do not count", () => {
  const time = new AnsweredTime();
  time.reported(0);
  time.reportSent();
  for (let nowMs = 10_000; nowMs <= 300_000; nowMs += 10_000) time.answered(nowMs);
  expect(time.totalMs).toBe(0);
  time.reported(300_000);
  // A silence counts for no longer than one that is usual.
  expect(time.totalMs).toBe(30_000);
  time.answered(310_000);
  expect(time.totalMs).toBe(40_000);
});

test("after a report that was refused as such, other answers count again", () => {
  const time = new AnsweredTime();
  time.reported(0);
  time.reportSent();
  time.reportRefused();
  time.answered(10_000);
  expect(time.totalMs).toBe(10_000);
});

test("after a report that was not answered, nothing counts until one is", () => {
  const time = new AnsweredTime();
  time.reported(0);
  time.reportSent();
  time.reportFailed();
  for (let nowMs = 10_000; nowMs <= 300_000; nowMs += 10_000) time.answered(nowMs);
  time.reportSent();
  time.reported(310_000);
  expect(time.totalMs).toBe(0);
  time.answered(320_000);
  expect(time.totalMs).toBe(10_000);
});
