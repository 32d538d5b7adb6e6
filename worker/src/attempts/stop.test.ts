import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { findMarked } from "../host/index.ts";
import type { StoredAttempt } from "./attempt-store.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { HOOK_TOO_LONG, watchLinger, watchTimeout } from "./stop.ts";

const MARK = `TOWPATH_TEST_LINGER=${process.pid}`;

const childNamed = (name: string) => expect.objectContaining({ name });

/** A process that has a mark and a child process. */
async function startMarked() {
  const [name = "", value = ""] = MARK.split("=");
  const child = spawn("/bin/sh", ["-c", "sleep 1000 & echo up; wait"], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
    env: { PATH: "/usr/bin:/bin", [name]: value },
  });
  const pid = child.pid ?? 0;
  onTestFinished(() => void process.kill(-pid, "SIGKILL"));
  await once(child.stdout, "data");
  // The shell prints when it has forked. The fork has the shell's name until it has become the program.
  await expect.poll(() => findMarked(MARK), { timeout: 60_000 }).toContainEqual(childNamed("sleep"));
  return pid;
}

test("a process that stays after its flow has ended is stopped, and the log says which child process kept it", async () => {
  const pid = await startMarked();
  const clock = { atMs: 0, nowMs: () => clock.atMs };
  const sleep = async (ms: number) => {
    clock.atMs += ms;
  };
  const noted = Promise.withResolvers<string>();
  const said: unknown[] = [];
  const claimed = {
    stop: null,
    store: { files: { room: null } },
    process: { identity: { pid, start: "" }, mark: MARK, exited: new Promise(() => {}) },
    requestStop: ({ reason }: { reason: string }) => void said.push(reason, clock.atMs),
    note: async (_: string, text: string) => noted.resolve(text),
  };
  watchLinger({ bootClock: clock, sleep } as unknown as AttemptDeps, claimed as unknown as ClaimedAttempt);
  expect(await noted.promise).toMatch(
    /^The flow had ended, but its process stayed for 30 s.* child processes .*Still running: \d+ \(sleep\)\.$/,
  );
  expect(said).toEqual(["lingering", 30_000]);
});

test("an attempt that runs only a hook is killed after the time of a hook, whatever the time limits of its run are", async () => {
  const clock = { atMs: 0, nowMs: () => clock.atMs };
  const sleep = async (ms: number) => {
    clock.atMs += ms;
  };
  const killed = Promise.withResolvers<number>();
  const said: unknown[] = [];
  const claimed = {
    process: { kill: () => killed.resolve(clock.atMs) },
    requestStop: ({ reason }: { reason: string }) => void said.push(reason),
    note: async (_: string, text: string) => void said.push(text),
  } as unknown as ClaimedAttempt;
  const stored = {
    launchedAtMs: 0,
    assignment: { onlyHook: { reason: "enough" }, endsInMs: 1, trigger: { kind: "manual" } },
    spec: { timeoutMs: 1, runTimeoutMs: 1 },
  } as unknown as StoredAttempt;
  const deps = { bootClock: clock, sleep } as unknown as AttemptDeps;
  watchTimeout(deps, { claimed, stored }, new AbortController().signal);
  expect(await killed.promise).toBe(20_000);
  expect(said).toEqual([HOOK_TOO_LONG]);
});
