import { spawn } from "node:child_process";
import { once } from "node:events";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  identifyProcess,
  isAlive,
  listProcesses,
  parseProcStat,
  parsePsLine,
  readBootId,
  readProcess,
  startedBefore,
} from "./process.ts";

const TAIL = "1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2000 18446744073709551615";

test("a command name with spaces, parentheses and newlines does not shift the fields", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 15 }), fc.constantFrom("R", "S", "D", "Z", "X"), (name, state) => {
      const row = parseProcStat(`42 (${name}) ${state} ${TAIL}`, "boot");
      expect(row).toEqual({
        pid: 42,
        groupId: 77,
        name,
        zombie: state === "Z" || state === "X",
        start: "boot:987654",
      });
    }),
  );
  expect(parseProcStat(`42 (a) Z 9 9) S ${TAIL}`, "boot")?.groupId).toBe(77);
});

test("any text that is not a stat line is refused", () => {
  for (const text of ["", "42", "42 (sh", "x (sh) R 1 2 3", `42 (sh) R 1 77`]) {
    expect(parseProcStat(text, "boot")).toBeUndefined();
  }
  fc.assert(fc.property(fc.string(), (text) => void parseProcStat(text, "boot")));
});

test("a line of ps is read with its start time to the second", () => {
  expect(parsePsLine("  501   500 Ss   Sat Nov 21  06:22:01 2026  ")).toEqual({
    pid: 501,
    groupId: 500,
    name: "",
    zombie: false,
    start: "Sat Nov 21 06:22:01 2026",
  });
  expect(parsePsLine("501 500 Z+ Sat Nov 21 06:22:01 2026")?.zombie).toBe(true);
  expect(parsePsLine("")).toBeUndefined();
});

test("this process is found by pid and in the list, with the same start", async () => {
  const self = await readProcess(process.pid);
  expect(self?.zombie).toBe(false);
  expect(await listProcesses()).toContainEqual(self);
});

test("the start times of processes are compared by number, and only within one boot", () => {
  const at = (start: string) => ({ pid: 1, start });
  expect(startedBefore(at("boot:99"), at("boot:100"))).toBe(true);
  for (const [one, other] of [
    ["boot:100", "boot:99"],
    ["boot:100", "boot:100"],
    ["earlier:99", "boot:100"],
    ["Sat Nov 21 06:22:01 2026", "Sat Nov 21 06:22:02 2026"],
  ] as const)
    expect(startedBefore(at(one), at(other))).toBe(false);
});

test("pids that cannot exist have no process", async () => {
  for (const pid of [0, -1, 1.5, Number.NaN, 2 ** 40]) expect(await readProcess(pid)).toBeUndefined();
});

test("a process differs from an earlier process with its pid, and is not found after its end", async () => {
  const child = spawn(process.execPath, ["-e", "process.stdin.resume()"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  const identity = await identifyProcess(child.pid ?? -1);
  if (identity === undefined) throw new Error("the child was not found");
  expect(await isAlive(identity)).toBe(true);
  expect(await isAlive({ pid: identity.pid, start: "another start" })).toBe(false);
  const exited = once(child, "exit");
  child.stdin?.end();
  await exited;
  expect(await isAlive(identity)).toBe(false);
});

test.runIf(process.platform === "linux")("the boot has a name, and a start holds it", async () => {
  expect(readBootId()).toMatch(/^[0-9a-f-]{36}$/);
  const self = await identifyProcess(process.pid);
  expect(self?.start.startsWith(`${readBootId()}:`)).toBe(true);
});
