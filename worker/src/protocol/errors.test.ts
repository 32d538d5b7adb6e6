import { Problem } from "@towpath/contract";
import { expect, test } from "vitest";
import { askedPauseMs, Unreachable } from "./errors.ts";

test("a problem or a proxy's answer can ask to wait", () => {
  expect(askedPauseMs(new Problem("too-many-requests", "", { retryAfterMs: 3_000 }))).toBe(3_000);
  expect(askedPauseMs(new Unreachable("", { retryAfterMs: 2_000 }))).toBe(2_000);
  expect(askedPauseMs(new Error("no"))).toBe(0);
});
