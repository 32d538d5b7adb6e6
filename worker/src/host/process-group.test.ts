import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { identifyProcess, isAlive, type ProcessIdentity } from "@towpath/contract/process";
import { afterEach, expect, test } from "vitest";
import { groupMembers, killGroup, waitForExit } from "./process-group.ts";

const PATIENCE_MS = 20_000;
const started: number[] = [];

afterEach(() => {
  for (const pid of started.splice(0)) {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // It is gone already.
    }
  }
});

/** Starts a shell as leader of its own group. Resolves when it has printed its pids. */
async function startGroup(script: string, marker = "1"): Promise<{ child: ChildProcess; lines: string[] }> {
  const child = spawn("/bin/sh", ["-c", script], {
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
    env: { PATH: "/usr/bin:/bin", TOWPATH_TEST_MARKER: marker },
  });
  if (child.pid !== undefined) started.push(child.pid);
  let text = "";
  for await (const chunk of child.stdout) {
    text += String(chunk);
    if (text.includes("ready\n")) break;
  }
  return { child, lines: text.trim().split("\n") };
}

async function identify(pid: number | undefined): Promise<ProcessIdentity> {
  const identity = await identifyProcess(pid ?? -1);
  if (!identity) throw new Error(`no process ${pid}`);
  return identity;
}

const patience = () => ({ signal: AbortSignal.timeout(PATIENCE_MS), intervalMs: 10 });

test("a group is killed whole, children of children included", { timeout: PATIENCE_MS * 2 }, async () => {
  const { child, lines } = await startGroup("sh -c 'sleep 600 & echo $!; echo ready; wait'; wait");
  const leader = await identify(child.pid);
  const grandchild = await identify(Number(lines[0]));
  const members = await groupMembers(leader.pid);
  expect(members).toContainEqual(leader);
  expect(members).toContainEqual(grandchild);

  expect(await killGroup(leader, "SIGKILL")).toBe("signalled");
  await waitForExit(leader, patience());
  await waitForExit(grandchild, patience());
  expect(await groupMembers(leader.pid)).toEqual([]);
});

test("another process with the same pid is left alone", { timeout: PATIENCE_MS * 2 }, async () => {
  const { child } = await startGroup("echo ready; exec sleep 600");
  const stranger = await identify(child.pid);
  const remembered = { pid: stranger.pid, start: `${stranger.start}0` };
  expect(await isAlive(remembered)).toBe(false);
  expect(await killGroup(remembered, "SIGKILL")).toBe("reused");
  expect(await isAlive(stranger)).toBe(true);
});

test("a process that leads no group is signalled alone, not the group it lives in", {
  timeout: PATIENCE_MS * 2,
}, async () => {
  const { child, lines } = await startGroup("sleep 600 & echo $!; echo ready; wait; sleep 600");
  const member = await identify(Number(lines[0]));
  expect(await killGroup(member, "SIGKILL")).toBe("signalled");
  await waitForExit(member, patience());
  expect(await isAlive(await identify(child.pid))).toBe(true);
});

test.runIf(process.platform === "linux")(
  "members that outlive their leader are killed only when they carry its marker",
  { timeout: PATIENCE_MS * 2 },
  async () => {
    const { child, lines } = await startGroup("sleep 600 & echo $!; echo ready; read line; exit 0", "mine");
    const leader = await identify(child.pid);
    const orphan = await identify(Number(lines[0]));
    const exited = once(child, "exit");
    child.stdin?.end("go\n");
    await exited;
    expect(await killGroup(leader, "SIGKILL")).toBe("gone");
    expect(await killGroup(leader, "SIGKILL", { orphanMarker: "TOWPATH_TEST_MARKER=other" })).toBe("gone");
    expect(await isAlive(orphan)).toBe(true);
    expect(await killGroup(leader, "SIGKILL", { orphanMarker: "TOWPATH_TEST_MARKER=mine" })).toBe(
      "signalled",
    );
    await waitForExit(orphan, patience());
  },
);

test("the wait for an exit ends with the process, and rejects when it is aborted", {
  timeout: PATIENCE_MS * 2,
}, async () => {
  const { child } = await startGroup("echo ready; exec sleep 600");
  const identity = await identify(child.pid);
  const giveUp = new AbortController();
  const waiting = waitForExit(identity, { signal: giveUp.signal });
  giveUp.abort();
  await expect(waiting).rejects.toThrow();

  const ended = waitForExit(identity, patience());
  expect(await killGroup(identity, "SIGTERM")).toBe("signalled");
  await ended;
  expect(await killGroup(identity, "SIGTERM")).toBe("gone");
});

test.runIf(process.platform === "linux")("a zombie is not alive", { timeout: PATIENCE_MS * 2 }, async () => {
  // The shell becomes a sleep, which never collects its child, so that child stays a zombie.
  const { lines } = await startGroup("sleep 600 & echo $!; echo ready; exec sleep 600");
  const child = await identify(Number(lines[0]));
  expect(await isAlive(child)).toBe(true);
  process.kill(child.pid, "SIGKILL");
  await waitForExit(child, patience());
  expect(await identifyProcess(child.pid)).toEqual(child);
  expect(await isAlive(child)).toBe(false);
});
