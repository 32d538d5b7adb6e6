import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cause, SpecInput } from "@towpath/contract";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pythonMinor, Wheels } from "./environments/wheels.fixture.ts";
import { type FakeAttempt, linesOf } from "./testing/fake-attempt.fixture.ts";
import { hasPython } from "./testing/python.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";

const LOADED = "a runner has loaded a deployment's code";
const PATIENTLY = { timeout: 60_000 };

let testEnv: WorkerTestEnv;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await testEnv.close();
});

const ENTRY = { kind: "python", module: "flows/main.py", function: "main" } as const;

/** Deploys a module whose flow is `main`. */
async function deploy(source: string, more: Partial<SpecInput> = {}) {
  return await testEnv.deploy({ "flows/main.py": source }, { entry: ENTRY, ...more });
}

/** Runs a deployment once. Returns the attempt and its end. */
async function run(
  deployed: Parameters<WorkerTestEnv["plane"]["submit"]>[0],
): Promise<{ attempt: FakeAttempt; end: unknown }> {
  const attempt = testEnv.plane.submit(deployed);
  return { attempt, end: await testEnv.plane.untilEnded(attempt) };
}

/** A flow that returns its process id in a log line. */
const TELLING = `
import os
from towpath import flow, log
runs = 0

@flow
def main() -> None:
    global runs
    runs += 1
    log.info(f"process {os.getpid()} run {runs} in {os.getcwd().split('/')[-1] != ''}")
`;

describe.skipIf(!hasPython)("a flow in Python", () => {
  test("runs in a process of Python, with its parameters, its log and its result", async () => {
    await testEnv.start();
    const deployed = await deploy(`
from towpath import flow, task

@task
def double(x: int) -> int:
    print("doubling", x)
    return 2 * x

@flow
def main(x: int) -> int:
    return double(x)
`);
    const { attempt, end } = await run({ ...deployed, parameters: { x: 21 } });
    expect(end).toMatchObject({ outcome: "completed", exitCode: 0 });
    const ended = attempt.control.find((record) => record.type === "ended");
    expect(await readFile(new URL(ended?.result?.uri ?? ""), "utf8")).toContain("42");
    expect(linesOf(attempt)).toContain("log: doubling 21");
  });

  test("starts in the process that has loaded its code, which serves one run", async () => {
    await testEnv.start({ loadAhead: 1 });
    const deployed = await deploy(TELLING);
    const processes: string[] = [];
    for (let round = 1; round <= 3; round++) {
      const { attempt, end } = await run(deployed);
      expect(end).toMatchObject({ outcome: "completed" });
      const [, pid = "", count] = /process (\d+) run (\d+)/.exec(linesOf(attempt).join()) ?? [];
      processes.push(pid);
      expect(count).toBe("1");
      if (round > 1) expect(attempt.control[0]).toMatchObject({ type: "started", launcher: "warm" });
      await expect
        .poll(() => testEnv.logged.filter((line) => line.includes(LOADED)).length, PATIENTLY)
        .toBe(round);
    }
    expect(new Set(processes).size).toBe(3);
  });

  const FAULTS: Record<string, { source: string; says: RegExp; spec?: Partial<SpecInput>; cause?: Cause }> = {
    "fails when it is imported": {
      source: "import nothing_like_this\n",
      says: /ModuleNotFoundError.*No module named 'nothing_like_this'/,
    },
    "ends the process when it is imported": {
      source: "import sys\nsys.exit(3)\n",
      says: /flows\/main.py ends the process when it is imported: sys.exit\(3\)/,
    },
    "ends the process without an exception when it is imported": {
      source: "import os\nos._exit(3)\n",
      says: /The process ended with code 3/,
    },
    "crashes when it is imported": {
      source: "import ctypes\nctypes.string_at(0)\n",
      cause: "killed",
      says: /SIGSEGV.*Python was at flows\/main.py:2, in <module>/,
    },
    "never ends when it is imported": {
      source: "import time\ntime.sleep(600)\n",
      spec: { timeoutMs: 3000 },
      cause: "timeout",
      says: /time limit/,
    },
    "has no such name": { source: "other = 1\n", says: /flows\/main.py has nothing called \\"main\\"/ },
    "has no flow of that name": {
      source: "def main() -> None: ...\n",
      says: /flows\/main.py has no flow called \\"main\\"/,
    },
    "is not in the code": {
      source: "",
      spec: { entry: { ...ENTRY, module: "flows/other.py" } },
      says: /There is no file flows\/other.py/,
    },
  };
  test.each(Object.entries(FAULTS))("whose module %s has failed, and its error says so", async (_, fault) => {
    await testEnv.start();
    const { end } = await run(await deploy(fault.source, fault.spec));
    expect(end).toMatchObject({ outcome: "failed", cause: fault.cause ?? "error" });
    expect(JSON.stringify(end)).toMatch(fault.says);
  });

  test("whose process dies has its hook run in another process", async () => {
    await testEnv.start();
    const { attempt, end } = await run(
      await deploy(`
import os, signal
from towpath import flow, log

def crashed(error):
    log.warning(f"hook: {error.run_cause}")

@flow(on_crash=crashed)
def main() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
`),
    );
    expect(end).toMatchObject({ outcome: "failed", cause: "killed" });
    expect(linesOf(attempt).slice(1)).toEqual([
      "worker: The flow's process has ended. Another process runs its hook on_crash.",
      "log: hook: killed",
    ]);
  });

  test("ends with its outcome, although a thread of it goes on", async () => {
    await testEnv.start();
    const left = join(testEnv.dir, "left");
    const { end } = await run(
      await deploy(`
import atexit, threading
from towpath import flow

@flow
def main() -> None:
    atexit.register(lambda: open(${JSON.stringify(left)}, "w").close())
    threading.Thread(target=threading.Event().wait).start()
`),
    );
    expect(end).toMatchObject({ outcome: "completed", exitCode: 0 });
    expect(existsSync(left)).toBe(true);
  });

  test("runs with the interpreter that its spec names", async () => {
    const python = join(testEnv.dir, "own-python");
    await writeFile(python, '#!/bin/sh\nOWN_PYTHON=yes exec python3 "$@"\n', { mode: 0o755 });
    const entry = { ...ENTRY, environment: { kind: "interpreter", name: "own" } } as const;
    await testEnv.start({ python: { interpreters: { own: "own-python" } } });
    const source = `import os\nfrom towpath import flow\n@flow\ndef main() -> None: print(os.environ["OWN_PYTHON"])\n`;
    const { attempt, end } = await run(await deploy(source, { entry }));
    expect(end).toMatchObject({ outcome: "completed" });
    expect(linesOf(attempt)).toContain("log: yes");
  });
});

describe.skipIf(!hasPython)("a flow with a locked environment", () => {
  /** Deploys a flow that needs a package, and the lock of that package. */
  async function deployLocked(requirements: string, more: Partial<SpecInput> = {}) {
    const environment = {
      kind: "lock" as const,
      python: pythonMinor(),
      requirements: "locked.txt",
      digest: createHash("sha256").update(requirements).digest("hex"),
    };
    const source = `
from greeting import text
from towpath import flow

@flow
def main() -> None:
    print(text)
`;
    const entry = { ...ENTRY, environment };
    return await testEnv.deploy({ "flows/main.py": source, "locked.txt": requirements }, { entry, ...more });
  }
  const indexes = { default: { folder: "wheels" } };

  test("runs in it: it is built before the start, once, and the log says so", async () => {
    const line = await new Wheels(join(testEnv.dir, "wheels")).add("greeting", "text = 'hello'\n");
    await testEnv.start({ python: { indexes }, loadAhead: 1 });
    const deployed = await deployLocked(line);
    const first = await run(deployed);
    expect(first.end).toMatchObject({ outcome: "completed" });
    expect(linesOf(first.attempt)).toEqual([
      `worker: Builds its Python environment: Python ${pythonMinor()}, packages: 1.`,
      expect.stringMatching(/^worker: The environment is ready after \d+\.\d s\.$/),
      "log: hello",
    ]);
    await expect.poll(() => testEnv.logged.filter((text) => text.includes(LOADED)).length, PATIENTLY).toBe(1);
    const second = await run(deployed);
    expect(linesOf(second.attempt)).toEqual(["log: hello"]);
    expect(second.attempt.control[0]).toMatchObject({ type: "started", launcher: "warm" });
  });

  test("is refused without a wheel, and the worker's other deployments go on", async () => {
    await testEnv.start({ python: { indexes }, breakerFailures: 1 });
    const { attempt, end } = await run(await deployLocked(`greeting==1.0 --hash=sha256:${"0".repeat(64)}\n`));
    expect(end).toMatchObject({ outcome: "refused" });
    expect(JSON.stringify(end)).toMatch(
      /has no wheel for this platform and Python.*The worker's log names the package/,
    );
    expect(JSON.stringify([attempt.control, attempt.bulk])).not.toContain("greeting==");
    expect(testEnv.logged.join()).toContain("greeting==1.0");
    const other = await testEnv.deployFlow(`await gateway.log("here");`, { deployment: "other" });
    expect((await run(other)).end).toMatchObject({ outcome: "completed" });
  });

  test("is given back while its index is down", async () => {
    await testEnv.start({ python: { indexes: { default: { url: "http://127.0.0.1:9/simple" } } } });
    const attempt = testEnv.plane.submit(
      await deployLocked(`greeting==1.0 --hash=sha256:${"0".repeat(64)}\n`),
    );
    await testEnv.plane.until("the attempt is given back", () =>
      attempt.control.some(({ type }) => type === "released"),
    );
    const released = attempt.control.find((record) => record.type === "released");
    expect(JSON.stringify(released)).toContain("A package index does not answer.");
  });
});

describe("a spec that needs a Python which the worker does not have", () => {
  const environment = { kind: "interpreter" as const, name: "conda" };

  test.each([
    [{ ...ENTRY, environment }],
    [{ kind: "command" as const, argv: ["python", "train.py"], environment }],
  ])("is refused, and other deployments go on", async (entry) => {
    await testEnv.start({ breakerFailures: 1 });
    const { end } = await run(await deploy("", { entry }));
    expect(end).toMatchObject({ outcome: "refused" });
    expect(JSON.stringify(end)).toMatch(/no interpreter called \\"conda\\".*python.interpreters/);
    const other = await testEnv.deployFlow(`await gateway.log("here");`, { deployment: "other" });
    expect(await testEnv.plane.untilEnded(testEnv.plane.submit(other))).toMatchObject({
      outcome: "completed",
    });
  });

  test.each([
    ["missing", undefined, /missing is not there/],
    ["broken", "#!/bin/sh\nexit 1\n", /broken .*is no Python that can be started/],
    ["old", "#!/bin/sh\necho /usr/bin/python3\necho 3.6.15\n", /old .*is Python 3.6.15.*3.10 or later/],
  ])("as its interpreter is %s, is refused", async (name, program, says) => {
    if (program !== undefined) await writeFile(join(testEnv.dir, name), program, { mode: 0o755 });
    await testEnv.start({ python: { interpreters: { default: name } } });
    const { end } = await run(await deploy(""));
    expect(end).toMatchObject({ outcome: "refused" });
    expect(JSON.stringify(end)).toMatch(says);
  });
});

test.skipIf(!hasPython)("a command with a named interpreter finds it as python and python3", async () => {
  await writeFile(
    join(testEnv.dir, "own-python"),
    '#!/bin/sh\nif [ "$1" = -I ]; then echo "$0"; echo 3.12.0; else echo "own $*"; fi\n',
    { mode: 0o755 },
  );
  await testEnv.start({ python: { interpreters: { own: "own-python" } } });
  const entry = {
    kind: "command" as const,
    argv: ["python3", "train.py"],
    environment: { kind: "interpreter" as const, name: "own" },
  };
  const { attempt, end } = await run(await testEnv.deploy({}, { entry }));
  expect(end).toMatchObject({ outcome: "completed" });
  expect(linesOf(attempt)).toContain("stdout: own train.py");
});
