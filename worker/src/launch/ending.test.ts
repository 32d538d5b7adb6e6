import { adviceFor } from "@towpath/contract";
import { expect, test } from "vitest";
import { decideEnding, type EndingFacts, STOPS, type StopReason } from "./ending.ts";

const GONE: EndingFacts = {
  entry: "flow",
  outcome: null,
  commandExit: null,
  exit: { code: null, signal: null },
  stop: null,
  oomKilled: () => false,
  printed: [],
};
const decide = (more: Partial<EndingFacts>) => decideEnding({ ...GONE, ...more });

test("a completion counts before anything else", () => {
  for (const stop of Object.keys(STOPS) as StopReason[]) {
    expect(decide({ stop, outcome: { outcome: "completed" } })).toMatchObject({
      outcome: "completed",
      cause: null,
    });
  }
  const exit = { code: null, signal: "SIGKILL" } as const;
  expect(decide({ exit, outcome: { outcome: "completed" } })).toMatchObject({ outcome: "completed" });
});

test("the worker's own stop counts before the flow's failure", () => {
  const failed = { outcome: "failed", error: { name: "AbortError", message: "aborted" } } as const;
  expect(decide({ stop: "timeout", outcome: failed })).toMatchObject({ outcome: "failed", cause: "timeout" });
  expect(decide({ stop: "user", outcome: failed })).toMatchObject({ outcome: "cancelled", cause: "user" });
  expect(decide({ stop: "lingering", outcome: failed })).toMatchObject({ cause: "error" });
  expect(decide({ outcome: failed })).toMatchObject({ cause: "error", error: failed.error });
  expect(decide({ outcome: { ...failed, cause: "timeout" } })).toMatchObject({ cause: "timeout" });
  expect(decide({ outcome: { outcome: "cancelled" } })).toMatchObject({ outcome: "cancelled", cause: null });
});

test("a flow says which calls failed it, also when it was stopped; a process without an outcome was failed by none", () => {
  const told = { outcome: "failed", failedBy: ["charge"] } as const;
  const failed = { ...told, failedBy: [...told.failedBy] };
  expect(decide({ outcome: failed }).failedBy).toEqual(["charge"]);
  for (const stop of Object.keys(STOPS) as StopReason[]) {
    expect(decide({ stop, outcome: failed }).failedBy, stop).toEqual(["charge"]);
    expect(decide({ stop }).failedBy, stop).toEqual([]);
  }
  expect(decide({ exit: { code: 9, signal: null } }).failedBy).toEqual([]);
  // An earlier release does not say it.
  expect(decide({ outcome: { outcome: "failed" } })).not.toHaveProperty("failedBy");
});

test("without an outcome from the flow, its exit decides", () => {
  expect(decide({ exit: { code: 0, signal: null } })).toMatchObject({
    outcome: "failed",
    cause: "error",
    exitCode: 0,
  });
  expect(decide({ exit: { code: 9, signal: null } })).toMatchObject({ cause: "error", exitCode: 9 });
  expect(decide({ exit: { code: null, signal: "SIGSEGV" } })).toMatchObject({ cause: "killed" });
  expect(decide({})).toMatchObject({ cause: "killed", exitCode: null });
});

test("a flow in Python that ends early or crashes hears of its own language", () => {
  const python = (more: Partial<EndingFacts>) => decide({ entry: "python", ...more }).error?.message;
  expect(python({ exit: { code: 0, signal: null } })).toContain("calls os._exit.");
  expect(decide({ exit: { code: 0, signal: null } }).error?.message).toContain("calls process.exit.");
  const stack =
    'Fatal Python error: Aborted\n\nCurrent thread 0x01 (most recent call first):\n  File "a.py", line 3 in b\n';
  const exit = { code: null, signal: "SIGABRT" } as const;
  expect(python({ exit, printed: ["", stack] })).toMatch(/SIGABRT.* Python was at a\.py:3, in b\.$/);
});

test("exit codes and signals with a meaning are explained, with the next step", () => {
  const command = (code: number | null, signal: string | null = null) =>
    decide({ entry: "command", commandExit: { code, signal, error: null } }).error?.message;
  expect(command(127)).toMatch(/^The command ended with code 127\. .*Correct its name, or install it/);
  expect(command(126)).toContain("chmod +x");
  expect(command(137)).toContain("memory ran out");
  expect(command(130)).toContain("Find out on the worker's machine who sent it");
  expect(command(3)).toBe("The command ended with code 3. Check its last log lines.");
  expect(command(null, "SIGSEGV")).toMatch(/SIGSEGV, which the worker did not send\. .*native code/);
  expect(command(null, "SIGTERM")).toMatch(
    /SIGTERM, which the worker did not send\. Check its last log lines/,
  );
});

const KILLED = { code: null, signal: "SIGKILL" } as const;
test.each([
  ["an attempt out of time", { stop: "timeout" }, /time limit, `timeoutMs`\. Find out what took so long/],
  ["a run out of time", { stop: "run-timeout" }, /time limit, `runTimeoutMs`\. Give it fewer retries/],
  ["want of memory", { exit: KILLED, oomKilled: () => true }, /memory ran out\. The machine's `dmesg`/],
  ["an exit that nobody saw", {}, /exit code is unknown\. Check its last log lines, and with `uptime`/],
  [
    "an exit code of the flow's own",
    { exit: { code: 7, signal: null } },
    /code 7\. Check its last log lines/,
  ],
] as const)("%s has its own next step, beside the advice for its cause", (_, facts, told) => {
  const { cause, error } = decide(facts);
  expect(error?.message).toMatch(told);
  const advised = adviceFor(cause, error ?? null)?.split(/[;:.,] /) ?? [];
  expect(advised).not.toHaveLength(0);
  for (const step of advised) expect(error?.message.toLowerCase()).not.toContain(step.toLowerCase());
});

test("a SIGKILL is want of memory only where the kernel says so", () => {
  const exit = { code: null, signal: "SIGKILL" } as const;
  expect(decide({ exit })).toMatchObject({ cause: "killed" });
  expect(decide({ exit, oomKilled: () => true })).toMatchObject({ cause: "oom" });
  const unasked = () => {
    throw new Error("asked about another ending");
  };
  expect(decide({ exit: { code: 1, signal: null }, oomKilled: unasked })).toMatchObject({ cause: "error" });
});

test("a command's exit code is its outcome, as its runner wrote it down", () => {
  const command = (code: number | null, signal: string | null = null, error: string | null = null) =>
    decide({ entry: "command", commandExit: { code, signal, error } });
  expect(command(0)).toMatchObject({ outcome: "completed", exitCode: 0 });
  expect(command(2)).toMatchObject({ outcome: "failed", cause: "error", exitCode: 2 });
  expect(command(null, "SIGTERM")).toMatchObject({ cause: "killed" });
  expect(command(null, null, "spawn nope ENOENT").error?.message).toContain("could not be started");
  expect(
    decide({ entry: "command", outcome: { outcome: "failed" }, exit: { code: 0, signal: null } }),
  ).toMatchObject({
    outcome: "failed",
  });
});

test("a suspension has what the flow waits for, unless the attempt is stopped meanwhile", () => {
  const outcome = { outcome: "suspended" as const, waits: ["wait:input:Publish?"] };
  const exit = { code: 0, signal: null };
  expect(decide({ exit, outcome })).toEqual({
    outcome: "suspended",
    cause: null,
    waits: ["wait:input:Publish?"],
    exitCode: 0,
  });
  expect(decide({ exit, outcome, stop: "user" })).toMatchObject({ outcome: "cancelled", cause: "user" });
});

test("a process that ended with a code is described by the last error that it printed", () => {
  const exit = { code: 1, signal: null };
  const traceback =
    'Traceback (most recent call last):\n  File "a.py", line 3, in load\nValueError: no rows\n';
  const entry = "command";
  expect(decide({ entry, exit, printed: ["loading\n", traceback] })).toMatchObject({
    cause: "error",
    exitCode: 1,
    error: {
      name: "ValueError",
      message: "no rows (a.py:3, in load)",
      stack: expect.stringContaining("a.py"),
    },
    note: "The command ended with code 1. Check its last log lines.",
  });
  expect(decide({ entry, exit, printed: [traceback, "100 %\n"] }).error).toMatchObject({
    name: "ValueError",
  });
  expect(decide({ entry, exit, printed: ["loading\n", "psql: could not connect\n"] }).error).toEqual({
    name: "ProcessEnded",
    message: "psql: could not connect",
  });
  expect(decide({ entry, exit, printed: ["loading\n", ""] }).error?.message).toContain("ended with code 1");
});

test("a full heap of V8 is want of memory, whatever signal or code ends the process", () => {
  const printed = ["", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n"];
  for (const exit of [
    { code: null, signal: "SIGABRT" },
    { code: null, signal: "SIGTRAP" },
    { code: 134, signal: null },
  ] as const)
    expect(decide({ exit, printed })).toMatchObject({
      cause: "oom",
      error: { message: expect.stringContaining("heap") },
    });
  expect(decide({ exit: { code: 0, signal: null }, printed })).toMatchObject({ cause: "error" });
});
