import { expect, test } from "vitest";
import { logFormatOf, prettyLogLine } from "./log-line.ts";

const TIME = new Date(2026, 0, 2, 3, 4, 5).getTime();
const PLAIN = { colour: false, stacks: false };
const line = (fields: object) => JSON.stringify({ level: 30, time: TIME, pid: 7, ...fields });

test("a line has a time, a level, a message and facts", () => {
  const text = prettyLogLine(line({ msg: "listening", url: "http://x", roles: ["api"], none: null }), PLAIN);
  expect(text).toBe("03:04:05 info  listening  url=http://x  roles=api\n");
});

test("text with spaces is quoted, and long text is cut", () => {
  expect(prettyLogLine(line({ msg: "m", error: "no room" }), PLAIN)).toContain('  error="no room"\n');
  expect(prettyLogLine(line({ msg: "m", a: "x".repeat(1000) }), PLAIN).length).toBeLessThan(400);
});

test("an error is a sentence; its stack is shown only on request", () => {
  const failed = line({
    level: 50,
    msg: "a periodic job failed",
    err: { type: "E", message: "full", stack: "E: full\n  at a" },
  });
  expect(prettyLogLine(failed, PLAIN)).toBe("03:04:05 error a periodic job failed: full\n");
  expect(prettyLogLine(failed, { colour: false, stacks: true })).toMatch(/full\n {4}E: full\n {4}at a\n$/);
  const unsaid = line({ level: 50, msg: "m", err: { type: "PostgresError", code: "23505" } });
  expect(prettyLogLine(unsaid, PLAIN)).toContain("m: PostgresError 23505");
});

test("foreign text cannot start another line or colour the terminal", () => {
  const text = prettyLogLine(line({ msg: "a\nb", x: "\u001b[31mred\r" }), PLAIN);
  expect(text.trimEnd()).not.toMatch(/\p{Cc}/u);
});

test("colour is optional, and text that is not a log line stays as it is", () => {
  expect(prettyLogLine(line({ level: 40, msg: "m" }), { colour: true, stacks: false })).toContain(
    "\u001b[33mwarn",
  );
  expect(prettyLogLine("plain words\n", PLAIN)).toBe("plain words\n");
});

test.each([
  ["json", true, "json"],
  ["pretty", false, "pretty"],
  [undefined, true, "pretty"],
  [undefined, false, "json"],
  ["logfmt", false, "json"],
] as const)("LOG_FORMAT=%s, at a terminal: %s → %s", (wish, terminal, format) =>
  expect(logFormatOf(wish, terminal)).toBe(format),
);
