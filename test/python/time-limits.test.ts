import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { addEnvironment, hasPython } from "./interpreters.ts";

const FLOW = `
import os, re, signal, threading
from pathlib import Path
from towpath import flow, log, task

def is_first(work: str, what: str) -> bool:
    try:
        Path(work, what).touch(exist_ok=False)
        return True
    except FileExistsError:
        return False

@task
def before(work: str) -> bool:
    return is_first(work, "before")

@task(timeout=0.5, timeout_grace=0.1, retries=3)
def stuck(work: str) -> str:
    if is_first(work, "stuck"):
        log.info("about to block")
        re.match(r"(a+)+$", "a" * 40 + "b")  # here
    return "done"

@flow
def blocks(work: str) -> list:
    return [before(work), stuck(work)]

@flow
def hopeless(work: str) -> None:
    stuck.map([work]).results()

begun = threading.Event()

@task(timeout=0.3, timeout_grace=0.1, retries=3, if_ignored="kill")
def deaf(work: str) -> str:
    begun.set()
    if is_first(work, "deaf"):
        threading.Event().wait(600)
    return "done"

@flow
def ignores(work: str) -> list:
    began = before(work)
    call = deaf.submit(work)
    # A call that no thread has begun would run in the main thread, where the time limit interrupts it.
    begun.wait()
    try:
        return [began, call.result()]
    except Exception:
        return ["caught"]

@task(timeout=600)
def killed(work: str) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    Path(work, "guard").write_text(children)
    os.kill(os.getpid(), signal.SIGKILL)

@flow
def dies(work: str) -> None:
    killed(work)
`;

const CONFIG = `
from towpath.config import deployment, oci_layout, project
from limited import blocks, dies, hopeless, ignores

retried = {"limit": 1, "delay": 0, "causes": ["timeout"]}
config = project(
    "limited",
    pool="local",
    registry=oci_layout(REGISTRY),
    files=["limited.py"],
    deployments=[
        deployment(blocks, retry=retried), deployment(ignores, retry=retried), deployment(hopeless), deployment(dies)
    ],
)
`;

const LINE = FLOW.split("\n").findIndex((line) => line.endsWith("# here")) + 1;

let stack: Stack;
let worker: TestProcess;

async function started(flow: string): Promise<{ work: string; runId: string }> {
  const work = await stack.workFolder();
  return { work, runId: await stack.run(flow, { work }) };
}

async function tasksOf(runId: string) {
  const { items } = await stack.client.listTaskRuns({ params: { runId } });
  return items.map(({ name, state, tries, error }) => ({
    name,
    state,
    tries,
    error: error?.message ?? null,
  }));
}

async function linesOf(runId: string): Promise<string[]> {
  const { entries } = await stack.client.getLogs({ params: { runId } });
  return entries.flatMap((entry) => (entry.kind === "line" ? [entry.text] : []));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe.skipIf(!hasPython)("a time limit in Python", { timeout: 180_000 }, () => {
  beforeAll(async () => {
    stack = await startStack({ walls: "users" });
    const home = await stack.project({
      "limited.py": FLOW,
      "towpath_config.py": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    });
    await addEnvironment(home);
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    // The process that watches, and the one that it ends, are in namespaces, where those are possible.
    worker = await stack.startWorker({ settings: { namespaces: "auto" } });
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  test("ends a process that a task blocks; the next attempt reuses what was completed", async () => {
    const { runId } = await started("blocks");
    const run = await stack.waitForRun(runId);
    expect(run, JSON.stringify(run.error)).toMatchObject({ state: "completed", attempts: 2 });
    expect(await tasksOf(runId)).toEqual([
      { name: "before", state: "completed", tries: 1, error: null },
      { name: "stuck", state: "failed", tries: 1, error: expect.stringContaining(`limited.py:${LINE}`) },
      { name: "stuck", state: "completed", tries: 1, error: null },
    ]);
    // The process had no time to send this line. The watchdog has.
    const lines = await linesOf(runId);
    expect(lines.filter((line) => /^(Killed processes|about to block)/.test(line))).toEqual([
      "about to block",
    ]);
  });

  test("fails the run with the cause, the task and the line, where nothing retries it", async () => {
    const { runId } = await started("hopeless");
    const run = await stack.waitForRun(runId);
    expect(run, JSON.stringify(run.error)).toMatchObject({
      state: "failed",
      cause: "timeout",
      error: {
        name: "TaskTimeout",
        message: expect.stringMatching(
          new RegExp(`task "stuck" blocked its process .* It was at limited\\.py:${LINE}\\. Give the task`),
        ),
        stack: expect.stringMatching(new RegExp(`File "limited\\.py", line ${LINE}, in stuck\n +re\\.match`)),
      },
    });
    expect(await tasksOf(runId)).toMatchObject([{ name: "stuck", state: "failed", tries: 1 }]);
  });

  test("ends the attempt of a thread that ignores it, where the task says so, whatever the flow catches", async () => {
    const { runId } = await started("ignores");
    const run = await stack.waitForRun(runId);
    expect(run, JSON.stringify(run.error)).toMatchObject({ state: "completed", attempts: 2 });
    expect(await tasksOf(runId)).toEqual([
      { name: "before", state: "completed", tries: 1, error: null },
      {
        name: "deaf",
        state: "failed",
        tries: 1,
        error: expect.stringContaining("did not end within 100 ms"),
      },
      { name: "deaf", state: "completed", tries: 1, error: null },
    ]);
  });

  test.skipIf(process.platform !== "linux")(
    "leaves no watchdog behind when the flow's process is killed",
    async () => {
      // In namespaces the numbers of processes would tell nothing here, and the end of the first one ends all.
      worker.kill("SIGTERM");
      await worker.exited;
      worker = await stack.startWorker();
      const { runId, work } = await started("dies");
      const run = await stack.waitForRun(runId);
      expect(run, JSON.stringify(run.error)).toMatchObject({ state: "failed", cause: "killed" });
      const pids = (await readFile(join(work, "guard"), "utf8")).trim().split(" ").map(Number);
      expect(pids).toEqual([expect.any(Number)]);
      await expect.poll(() => pids.filter(isRunning), { timeout: 30_000 }).toEqual([]);
      expect((await linesOf(runId)).filter((line) => line.startsWith("Killed processes"))).toEqual([]);
    },
  );
});
