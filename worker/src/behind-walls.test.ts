import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SpecInput } from "@towpath/contract";
import { listProcesses } from "@towpath/contract/process";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { NpmRegistry } from "./environments/npm-registry.fixture.ts";
import { pythonMinor, Wheels } from "./environments/wheels.fixture.ts";
import { type FakeAttempt, linesOf } from "./testing/fake-attempt.fixture.ts";
import { hasPython } from "./testing/python.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { giveFolder, WALLS_TO_TEST, type Wall } from "./testing/walls.fixture.ts";
import { killNine, type WorkerProcess, WorkerProcesses } from "./testing/worker-process.fixture.ts";
import { processesUnder } from "./walls/namespaces.ts";

/** A Python that every user may start. */
const PYTHON = ["/usr/bin/python3", "/usr/local/bin/python3"].find(existsSync);

let testEnv: WorkerTestEnv;
const workers = new WorkerProcesses();
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
  await chmod(testEnv.dir, 0o711);
});
afterEach(async () => {
  await workers.end();
  await testEnv.close();
});

let wall: Wall;

/** Starts a worker with the umask of a hardened unit: what it makes is closed to other users unless it opens it. */
async function start(more: object = {}): Promise<WorkerProcess> {
  if (wall.as !== null) await giveFolder(testEnv, wall.as);
  const python = {
    ...(PYTHON && { interpreters: { default: PYTHON } }),
    indexes: { default: { folder: "wheels" } },
  };
  const before = process.umask(0o077);
  try {
    return await workers.start(testEnv, { ...wall.settings, python, ...more }, {}, wall.as ?? {});
  } finally {
    process.umask(before);
  }
}

const command = (script: string, more: Partial<SpecInput> = {}) =>
  testEnv.deploy({ "run.sh": script }, { entry: { kind: "command", argv: ["sh", "run.sh"] }, ...more });

async function running(spec: Awaited<ReturnType<typeof command>>): Promise<FakeAttempt> {
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  return attempt;
}

/** Where the worker stores an attempt. */
async function fileOf(attempt: FakeAttempt): Promise<string> {
  const folder = join(testEnv.dir, "state/attempts");
  const [name = ""] = (await readdir(folder)).filter((one) => one.startsWith(attempt.attemptId));
  return join(folder, name, "attempt.json");
}

/** The running processes with a text in their command lines. */
async function commandsWith(text: string): Promise<string[]> {
  const found = (await listProcesses())
    .filter(({ zombie }) => !zombie)
    .map(async ({ pid }) => await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => ""));
  return (await Promise.all(found)).filter((line) => line.includes(text));
}

/** A process that leaves its group, session, parent and environment, and ignores signals. */
const escaping = (mark: string) =>
  `env -i setsid sh -c "(setsid sh -c 'trap \\"\\" TERM HUP INT; while :; do sleep 1000; done; : ${mark}' &) & exit 0" >/dev/null 2>&1 &`;

describe.each(WALLS_TO_TEST)("behind $name", (its) => {
  beforeEach(() => {
    wall = its;
  });

  test.skipIf(!hasPython || PYTHON === undefined)(
    "a flow in Python has the environment that the worker built, starts processes, and stores what it returns",
    async () => {
      const requirements = await new Wheels(join(testEnv.dir, "wheels")).add("greeting", "text = 'hello'\n");
      await start();
      const source = `
import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from greeting import text
from towpath import flow, task

@task
def roots() -> list[float]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(math.sqrt, [4, 9]))

@flow
def main() -> list[float]:
    print(text)
    return roots()
`;
      const environment = {
        kind: "lock" as const,
        python: pythonMinor(PYTHON),
        requirements: "locked.txt",
        digest: createHash("sha256").update(requirements).digest("hex"),
      };
      const entry = { kind: "python", module: "flows/main.py", function: "main", environment } as const;
      const files = { "flows/main.py": source, "locked.txt": requirements };
      const attempt = testEnv.plane.submit(await testEnv.deploy(files, { entry }));
      expect(await testEnv.plane.untilEnded(attempt), linesOf(attempt).join("\n")).toMatchObject({
        outcome: "completed",
      });
      expect(linesOf(attempt)).toContain("log: hello");
      const ended = attempt.control.find((record) => record.type === "ended");
      expect(await readFile(new URL(ended?.result?.uri ?? ""), "utf8")).toMatch(/\[2(\.0)?,3(\.0)?\]/);
    },
  );

  test("a flow has the npm packages that the worker installed", async () => {
    await using registry = await new NpmRegistry().start();
    const greeting = await registry.publish("greeting", { "index.js": 'module.exports = "hello";' });
    await start({ npm: { registry: registry.url } });
    const own = { name: "towpath-packages", version: "0.0.0", dependencies: { greeting: "1.0.0" } };
    const lock = JSON.stringify({
      ...own,
      lockfileVersion: 3,
      requires: true,
      packages: { "": own, "node_modules/greeting": greeting },
    });
    const digest = createHash("sha256").update(lock).digest("hex");
    const source =
      'import greeting from "greeting";\nimport { flow } from "./sdk.mjs";\nexport const main = flow(async (gateway) => void (await gateway.log(greeting)));\n';
    const files = {
      "flow.mjs": source,
      "npm/package.json": JSON.stringify(own),
      "npm/package-lock.json": lock,
    };
    const packages = { folder: "npm", digest, scripts: [] };
    const entry = { kind: "flow", module: "flow.mjs", export: "main", packages } as const;
    const attempt = testEnv.plane.submit(await testEnv.deploy(files, { entry }));
    expect(await testEnv.plane.untilEnded(attempt), linesOf(attempt).join("\n")).toMatchObject({
      outcome: "completed",
    });
    expect(linesOf(attempt)).toContain("log: hello");
  });

  test("a time limit ends an attempt that ignores signals, with every process that it hid", async () => {
    await start();
    const mark = `twp-late-${testEnv.dir.split("-").at(-1)}`;
    const script = `trap '' TERM\n${escaping(mark)}\nsleep 0.2; echo up\nwhile :; do sleep 1; done`;
    const attempt = await running(await command(script, { timeoutMs: 3_000, killGraceMs: 300 }));
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "timeout" });
    expect(await commandsWith(mark)).toEqual([]);
  });

  test("a cancel that comes while the worker is dead ends all processes of the attempt once it is back", async () => {
    const first = await start();
    const mark = `twp-away-${testEnv.dir.split("-").at(-1)}`;
    const script = `trap '' TERM\n${escaping(mark)}\nsleep 0.2; echo up\nwhile :; do sleep 1; done`;
    const attempt = await running(await command(script, { killGraceMs: 300 }));
    await killNine(first);
    expect(await commandsWith(mark)).not.toEqual([]);
    testEnv.plane.cancel(attempt);
    await start();
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled" });
    expect(await commandsWith(mark)).toEqual([]);
    await expect.poll(() => readdir(join(testEnv.dir, "state/attempts")), { timeout: 60_000 }).toEqual([]);
  });
});

/** A control group with little memory. Null: none can be made here. */
function memoryGroup(): string | null {
  const name = `towpath-test-${process.pid}`;
  const kinds = [
    { folder: "/sys/fs/cgroup/memory", limit: "memory.limit_in_bytes" },
    { folder: "/sys/fs/cgroup", limit: "memory.max" },
  ];
  for (const { folder, limit } of kinds) {
    const group = join(folder, name);
    try {
      mkdirSync(group);
    } catch {
      continue;
    }
    try {
      writeFileSync(join(group, limit), String(MEMORY_BYTES));
      return group;
    } catch {
      rmdirSync(group);
    }
  }
  return null;
}
/** Enough for a worker, and less than the attempt below takes. */
const MEMORY_BYTES = 768 * 2 ** 20;

test.skipIf(!hasPython).each(WALLS_TO_TEST)(
  "an attempt that the kernel kills for want of memory ends as oom, behind $name",
  async (its) => {
    wall = its;
    const group = memoryGroup();
    if (group === null)
      return void console.warn("SKIPPED: no control group with a limit of memory can be made.");
    onTestFinished(async () => {
      await workers.end();
      // Busy until its last process has left it.
      await expect.poll(() => tryRemove(group), { timeout: 60_000 }).toBe(true);
    });
    const worker = await start();
    // Before it has read how often its group ran out of memory.
    writeFileSync(join(group, "cgroup.procs"), String(worker.child.pid));
    const attempt = testEnv.plane.submit(await command("exec python3 -c 'print(len(bytearray(2 * 2**30)))'"));
    const end = await testEnv.plane.untilEnded(attempt);
    expect(end, linesOf(attempt).join("\n")).toMatchObject({ outcome: "failed", cause: "oom" });
  },
);

function tryRemove(group: string): boolean {
  try {
    rmdirSync(group);
    return true;
  } catch {
    return false;
  }
}

const inNamespaces = WALLS_TO_TEST.filter(({ hasNamespaces }) => hasNamespaces);
describe.each(inNamespaces)("in namespaces, behind $name", (its) => {
  beforeEach(() => {
    wall = its;
  });

  test("an attempt ends as killed, with all its processes, when the bubblewrap outside is killed", async () => {
    await start();
    const mark = `twp-outer-${testEnv.dir.split("-").at(-1)}`;
    const attempt = await running(
      await command(`${escaping(mark)}\nsleep 0.2; echo up\nwhile :; do sleep 1; done`),
    );
    const { pid, monitor } = JSON.parse(await readFile(await fileOf(attempt), "utf8")).process;
    expect((await processesUnder(pid)).length).toBeGreaterThan(1);
    process.kill(monitor.pid, "SIGKILL");
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "killed" });
    expect(await commandsWith(mark)).toEqual([]);
    expect(await processesUnder(pid)).toEqual([]);
  });

  test("a worker that comes back leaves alone a process that has the number of an attempt's bubblewrap now", async () => {
    const first = await start();
    const attempt = await running(await command("echo up; exec sleep 1000"));
    await killNine(first);
    const file = await fileOf(attempt);
    const stored = JSON.parse(await readFile(file, "utf8"));
    process.kill(stored.process.pid, "SIGKILL");
    await expect.poll(() => processesUnder(stored.process.pid), { timeout: 60_000 }).toEqual([]);
    const other = spawn("sleep", ["1000"], { detached: true });
    onTestFinished(() => void other.kill("SIGKILL"));
    // The numbers of the other process, with the times at which the attempt's processes began.
    stored.process.pid = other.pid;
    stored.process.monitor.pid = other.pid;
    await writeFile(file, JSON.stringify(stored));
    await start();
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "killed" });
    expect([other.exitCode, other.signalCode]).toEqual([null, null]);
  });
});
