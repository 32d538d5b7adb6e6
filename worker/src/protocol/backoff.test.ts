import { Problem } from "@towpath/contract";
import { expect, test } from "vitest";
import { createBackoff } from "./backoff.ts";
import { askedPauseMs, Unreachable } from "./errors.ts";

test("a wait is at least as long as the control plane asks, and never longer than the longest", () => {
  const backoff = createBackoff(() => 0, { firstMs: 100, mostMs: 5_000 });
  expect(backoff.next()).toBe(50);
  expect(backoff.next(2_000)).toBe(2_000);
  expect(backoff.next(60_000)).toBe(5_000);
});

test("what asks to wait is a problem or a proxy's answer", () => {
  expect(askedPauseMs(new Problem("too-many-requests", "", { retryAfterMs: 3_000 }))).toBe(3_000);
  expect(askedPauseMs(new Unreachable("", { retryAfterMs: 2_000 }))).toBe(2_000);
  expect(askedPauseMs(new Error("no"))).toBe(0);
});
