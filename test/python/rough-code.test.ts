import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { addEnvironment, hasPython } from "./interpreters.ts";

/** A flow that does what code does that knows nothing of Towpath. */
const FLOW = `
import asyncio, ctypes, logging, os, signal, subprocess, sys, threading, time
from pathlib import Path
from towpath import flow, task
from towpath._internal.problem import OutsideOfRun

@task
def end(how: str) -> None:
    print("about to end by", how)
    if how == "_exit":
        os._exit(3)
    if how == "_exit in a handler":
        signal.signal(signal.SIGALRM, lambda *_: os._exit(4))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        while True:
            print("x" * 100)
    if how == "segv":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    if how == "sys.exit":
        sys.exit("no data")
    if how == "fork":
        if os.fork() == 0:
            os._exit(7)
        os.wait()

@task
def add(a: int, b: int) -> int:
    return a + b

@task
def bytes_out() -> None:
    os.write(1, b"\\xff native\\n")
    sys.stdout.buffer.write(b"\\xfe buffer\\n")
    sys.stdout.flush()
    print("surrogate \\udcff")
    subprocess.run(["printf", "\\\\377 child\\\\n"])

@task
def without_end() -> None:
    for _ in range(50):
        sys.stdout.write("p" * 1_000_000)

@task
def native_without_end() -> None:
    for _ in range(50):
        os.write(1, b"n" * 1_000_000)

def threads() -> int:
    threading.Thread(target=lambda: time.sleep(600)).start()
    threading.Thread(target=lambda: time.sleep(600), daemon=True).start()
    return add(1, 2)

@task
def fork(how: str) -> int:
    print("before the fork")
    child = os.fork()
    if child == 0:
        print("the child prints")
        logging.error("the child logs")
        try:
            add(5, 6)
        except OutsideOfRun as error:
            print(error)
        if how == "sys.exit":
            sys.exit(7)
        return 0
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def forks() -> list[int]:
    # In the main thread, then in another one while the main thread waits for it.
    return [fork("sys.exit"), fork("return"), fork.submit("sys.exit").result(), add(1, 2)]

def loop() -> list[int]:
    async def both() -> list[int]:
        return list(await asyncio.gather(add.aio(1, 2), add.aio(3, 4)))
    return asyncio.run(both())

def handlers(work: str) -> list[str]:
    heard: list[str] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, lambda at, _frame: heard.append(signal.Signals(at).name))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        os.kill(os.getpid(), number)
        add(1, number)
    if work:
        Path(work, "waits").write_text("")
        time.sleep(600)
    return [name for name in heard if name != "SIGCHLD"]

@flow
def rough(do: str, how: str = "") -> object:
    if do == "end":
        return end(how)
    if do == "output":
        bytes_out()
        without_end()
        native_without_end()
        return print("after")
    return {"threads": threads, "forks": forks, "loop": loop, "handlers": lambda: handlers(how)}[do]()
`;

const CONFIG = `
from rough import rough
from towpath.config import deployment, oci_layout, project

config = project("rough", pool="local", registry=oci_layout(REGISTRY), deployments=[deployment(rough)])
`;

let stack: Stack;

describe.skipIf(!hasPython)("code that knows nothing of Towpath", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    stack = await startStack();
    const home = await stack.project({
      "rough.py": FLOW,
      "towpath_config.py": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    });
    await addEnvironment(home);
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    await stack.startWorker();
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  async function ended(do_: string, how = "") {
    const runId = await stack.run("rough", { do: do_, how });
    const run = await stack.waitForRun(runId);
    const { entries } = await stack.client.getLogs({ params: { runId } });
    const lines = entries.flatMap((entry) => (entry.kind === "line" ? [entry.text] : []));
    return { run, lines, runId };
  }
  async function resultOf(run: { result: { uri: string; sizeBytes: number } | null }): Promise<unknown> {
    const [file = "", offset = "0"] = (run.result?.uri ?? "").split("#");
    const bytes = await readFile(fileURLToPath(file));
    return JSON.parse(
      bytes.subarray(Number(offset), Number(offset) + (run.result?.sizeBytes ?? 0)).toString(),
    );
  }

  test.each([
    ["_exit", { name: "ProcessEnded", message: "The process ended with code 3. Check its last log lines." }],
    ["segv", { message: expect.stringMatching(/SIGSEGV.* Python was at rough\.py:\d+, in end\.$/) }],
    ["abort", { message: expect.stringMatching(/SIGABRT.* Python was at rough\.py:\d+, in end\.$/) }],
    ["sys.exit", { name: "SystemExit", message: "no data" }],
  ])("that ends its process by %s fails the run, and its last lines are in the log", async (how, error) => {
    const { run, lines, runId } = await ended("end", how);
    expect(run).toMatchObject({ state: "failed", error });
    const { items } = await stack.client.listTaskRuns({ params: { runId } });
    // A crash leaves no time to send what was written in the last milliseconds. Its stack is there.
    const told = ["segv", "abort"].includes(how) ? /^Fatal Python error: / : /^about to end by /;
    expect(
      lines.some((line) => told.test(line)),
      lines.join("\n"),
    ).toBe(true);
    if (how === "_exit") expect(items).toMatchObject([{ name: "end" }]);
  });

  test("that calls os._exit while a line is being written ends at once", async () => {
    const { run, lines } = await ended("end", "_exit in a handler");
    expect(run).toMatchObject({ state: "failed", error: { message: expect.stringContaining("code 4") } });
    expect(lines).toContain("x".repeat(100));
  });

  test("that calls os._exit in a forked child changes nothing", async () => {
    expect((await ended("end", "fork")).run).toMatchObject({ state: "completed" });
  });

  test("that forks children which return, exit, print, log and call tasks runs once, and completes", async () => {
    const { run, lines, runId } = await ended("forks");
    expect(run, lines.join("\n")).toMatchObject({ state: "completed", attempts: 1 });
    expect(await resultOf(run)).toEqual([7, 1, 7, 3]);
    const { items } = await stack.client.listTaskRuns({ params: { runId } });
    expect(items.map(({ name, state }) => `${name} ${state}`)).toEqual([
      "fork completed",
      "fork completed",
      "fork completed",
      "add completed",
    ]);
    const times = (text: string) => lines.filter((line) => line.startsWith(text)).length;
    expect(times("before the fork")).toBe(3);
    expect(times("the child prints")).toBe(3);
    expect(times('Task "add" was used outside of a running flow. This process was forked by the flow')).toBe(
      3,
    );
    expect(times("A process that a flow had forked returned from the function that had forked it.")).toBe(1);
  });

  test("whose output is no UTF-8, or has no line end in 50 MB, completes", async () => {
    const { run, lines } = await ended("output");
    expect(run).toMatchObject({ state: "completed" });
    for (const text of ["\ufffd native", "\ufffd buffer", "\ufffd child"]) expect(lines).toContain(text);
    expect(lines.some((line) => /^surrogate .$/.test(line))).toBe(true);
    const cut = lines.filter((line) => /^(p{100}|n{100})/.test(line));
    expect(cut.map((line) => line[0]).sort()).toEqual(["n", "p"]);
    expect(
      cut.map((line) => line.replace(/[pn]+/, "")),
      "each says that it was cut",
    ).toEqual([expect.stringMatching(/cut/), expect.stringMatching(/cut/)]);
  });

  test("whose threads outlive the flow completes", async () => {
    const { run } = await ended("threads");
    expect(run).toMatchObject({ state: "completed" });
    expect(await resultOf(run)).toBe(3);
  });

  test("that runs an event loop of its own completes", async () => {
    const { run } = await ended("loop");
    expect(run).toMatchObject({ state: "completed" });
    expect(await resultOf(run)).toEqual([3, 7]);
  });

  test("that handles signals gets them, and can still be cancelled", async () => {
    const { run } = await ended("handlers");
    expect(run).toMatchObject({ state: "completed" });
    expect(await resultOf(run)).toEqual(["SIGTERM", "SIGINT", "SIGALRM"]);
    const runId = await stack.run("rough", { do: "handlers", how: stack.folder });
    const waits = () =>
      readFile(join(stack.folder, "waits"))
        .then(() => true)
        .catch(() => false);
    await expect.poll(waits, { timeout: 60_000 }).toBe(true);
    await stack.client.cancelRun({ params: { runId }, body: { reason: "enough" } });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled" });
  });
});
