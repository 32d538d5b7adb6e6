import { join } from "node:path";
import type { TestProcess } from "../harness/process.ts";
import type { Stack } from "../harness/stack.ts";
import { addEnvironment } from "../python/interpreters.ts";
import { DATA, pythonWith } from "./installed.ts";
import { startFlowWorker } from "./project.ts";

/** The same flows as in TypeScript. */
const FLOWS = `
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from towpath import flow, run_facts, task

def now() -> float:
    return time.time_ns() / 1e6

def append(file: str, text: str) -> None:
    with open(file, "a") as out:
        out.write(text + "\\n")

def write(file: str, text: str) -> None:
    with open(file, "w") as out:
        out.write(text)

@flow
def python_first(file: str) -> None:
    append(file, str(now()))

@flow
def python_empty() -> None:
    pass

@task
def one(n: int) -> int:
    return n

@flow
def python_steps(count: int, file: str) -> None:
    began = now()
    for n in range(count):
        one(n)
    write(file, f"{began} {now()}")

@flow
def python_map(count: int, file: str) -> None:
    began = now()
    for _ in one.with_options(concurrency=100).map(range(count)):
        pass
    write(file, f"{began} {now()}")

begun = 0
beginning = threading.Lock()

@task(concurrency=100)
def sample(told: dict[str, Any]) -> int:
    global begun
    with beginning:
        begun += 1
        if begun == 1:
            append(told["file"], str(now()))
        if begun == told["kill_at"] and told["n"] < told["kill_at"] * 1.5:
            append(told["file"], str(now()))
            os.kill(os.getpid(), signal.SIGKILL)
    return told["n"]

@flow
def python_season(count: int, kill_at: int, file: str) -> dict[str, int]:
    reads = 0
    folder = f"/runs/{run_facts().run_id}/"

    def opened(event: str, args: tuple[Any, ...]) -> None:
        nonlocal reads
        reads += event == "open" and folder in str(args[0]) and not (args[2] & os.O_WRONLY)

    sys.addaudithook(opened)

    def samples() -> Iterator[dict[str, Any]]:
        for n in range(count):
            yield {"n": n, "kill_at": kill_at, "file": file}

    total = sum(sample.map(samples()))
    return {"sum": total, "again": 0 if run_facts().attempt == 1 else begun, "reads": reads}

@task(concurrency=100)
def double(n: int) -> int:
    return n * 2

@flow
def python_mapped(count: int, form: str, file: str) -> int:
    mapped = double if form != "keyed" else double.with_options(map_key=lambda n: f"item {n}")
    if form == "whole":
        total = sum(mapped.map(list(range(count))).results())
    else:
        total = sum(mapped.map(iter(range(count))))
    # resource.getrusage also counts the memory of the process that started this one.
    with open("/proc/self/status") as status:
        write(file, str(int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read()).group(1)) * 1024))
    return total
`;

const CONFIG = `
from flows import python_empty, python_first, python_map, python_mapped, python_season, python_steps
from towpath.config import deployment, oci_layout, project

config = project("bench-python", pool="local", registry=oci_layout(REGISTRY), deployments=[
    deployment(python_empty), deployment(python_first), deployment(python_map), deployment(python_mapped),
    deployment(python_season, retry={"limit": 1, "delay": 0, "causes": ["killed"]}),
    deployment(python_steps),
])
`;

/** Flows that need packages. */
const DATA_FLOWS = `
import time
import pandas
import sklearn.linear_model
from towpath import flow

@flow
def python_data(file: str) -> None:
    with open(file, "a") as out:
        out.write(f"{time.time_ns() / 1e6}\\n")
    assert pandas.DataFrame is not None and sklearn.linear_model.LinearRegression is not None
`;

const DATA_CONFIG = `
from data_flows import python_data
from towpath.config import deployment, oci_layout, project

config = project("bench-data", pool="local", registry=oci_layout(REGISTRY), deployments=[
    deployment(python_data, interpreter="data"),
])
`;

async function deploy(
  stack: Stack,
  args: { files: Record<string, string>; config: string; python?: string },
): Promise<void> {
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const home = await stack.project({
    ...args.files,
    "towpath_config.py": args.config.replace("REGISTRY", registry),
  });
  await addEnvironment(home, args.python);
  const { code, output } = await stack.towpath(["deploy", "--project", home]);
  if (code !== 0) throw new Error(`deploy failed (${code}):\n${output}`);
}

const deployed = new WeakSet<Stack>();

/**
 * Deploys a flow whose module imports pandas and scikit-learn.
 * @returns the settings of a worker that can run it. Null, with a message, if these cannot be installed.
 */
export async function deployData(stack: Stack): Promise<object | null> {
  const python = await pythonWith(DATA);
  if (python === null) return null;
  await deploy(stack, { files: { "data_flows.py": DATA_FLOWS }, config: DATA_CONFIG, python });
  return { python: { interpreters: { data: python } } };
}

/** Starts a real worker on the flows of both languages. */
export async function startPythonWorker(stack: Stack, name: string, settings?: object): Promise<TestProcess> {
  if (!deployed.has(stack)) await deploy(stack, { files: { "flows.py": FLOWS }, config: CONFIG });
  deployed.add(stack);
  return await startFlowWorker(stack, name, settings);
}
