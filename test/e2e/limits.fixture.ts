import type { Flows } from "./languages.fixture.ts";

const TYPESCRIPT = `
import { access, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { flow, task } from "towpath";
import { z } from "zod";

/** Reports when each try started and ended, which shows whether two ran at the same time. */
const load = task({ name: "load", tags: ["warehouse", "unlimited"] }, async (n: number) => {
  const beganMs = Date.now();
  await pause(30);
  console.log(JSON.stringify({ n, beganMs, endedMs: Date.now() }));
});
export const loads = flow({ name: "loads" }, async () => void (await Promise.all([1, 2, 3].map((n) => load(n)))));

const query = task({ name: "query", limits: ["db"] }, async (n: number) => {
  const beganMs = Date.now();
  await pause(30);
  console.log(JSON.stringify({ n, beganMs, endedMs: Date.now() }));
});
const scan = task({ name: "scan", limits: [{ name: "db", slots: 3 }] }, async () => "never");
export const queries = flow({ name: "queries" }, async () => void (await Promise.all([1, 2, 3].map((n) => query(n)))));
export const scans = flow({ name: "scans" }, async () => scan());

const part = task({ name: "part", tags: ["warehouse"] }, async () => "part");
const whole = task({ name: "whole", tags: ["warehouse"] }, async () => part());
export const nested = flow({ name: "nested" }, async () => whole());

const other = task({ name: "other", tags: ["crm"] }, async () => "never");
const mixed = task({ name: "mixed", tags: ["warehouse"] }, async () => other());
export const mixes = flow({ name: "mixes" }, async () => mixed());

export const far = task({ name: "far", tags: ["gate"] }, async () => "far");
const near = task({ name: "near", tags: ["gate"] }, async () => far.with({ pool: "local" })());
export const remote = flow({ name: "remote" }, async () => near());

const hold = task({ name: "hold", tags: ["press"] }, async (folder: string) => {
  await writeFile(folder + "/holding", String(process.pid));
  while (!(await access(folder + "/go").then(() => true, () => false))) await pause(20);
});
export const holds = flow({ name: "holds", input: z.object({ folder: z.string() }) }, async ({ folder }) => hold(folder));
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { holds, loads, mixes, nested, queries, remote, scans } from "./flows.ts";
export default defineConfig({
  project: "limits",
  stages: { typescript: {}, "typescript-two": {} },
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(loads),
    deployment(queries),
    deployment(scans),
    deployment(nested, { tags: ["nested"] }),
    deployment(mixes),
    deployment(remote),
    deployment(holds, { retry: { limit: 1, delayMs: 0, causes: ["lost"] } }),
  ],
});
`;

const PYTHON = `
import json, os, time
from pathlib import Path
from towpath import flow, task

def told(n: int) -> None:
    began = time.time() * 1000
    time.sleep(0.03)
    print(json.dumps({"n": n, "beganMs": began, "endedMs": time.time() * 1000}))

@task(tags=["warehouse", "unlimited"])
def load(n: int) -> None:
    told(n)

@flow
def loads() -> None:
    load.map([1, 2, 3]).results()

@task(limits=["db"])
def query(n: int) -> None:
    told(n)

@task(limits=[("db", 3)])
def scan() -> str:
    return "never"

@flow
def queries() -> None:
    query.map([1, 2, 3]).results()

@flow
def scans() -> str:
    return scan()

@task(tags=["warehouse"])
def part() -> str:
    return "part"

@task(tags=["warehouse"])
def whole() -> str:
    return part()

@flow
def nested() -> str:
    return whole()

@task(tags=["crm"])
def other() -> str:
    return "never"

@task(tags=["warehouse"])
def mixed() -> str:
    return other()

@flow
def mixes() -> str:
    return mixed()

@task(tags=["gate"])
def far() -> str:
    return "far"

@task(tags=["gate"])
def near() -> str:
    return far.with_options(pool="local")()

@flow
def remote() -> str:
    return near()

@task(tags=["press"])
def hold(folder: str) -> None:
    (Path(folder) / "holding").write_text(str(os.getpid()))
    while not (Path(folder) / "go").exists():
        time.sleep(0.02)

@flow
def holds(folder: str) -> None:
    hold(folder)
`;

const PYTHON_CONFIG = `
from flows import holds, loads, mixes, nested, queries, remote, scans
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "limits",
    pool="local",
    stages={"python": stage(), "python-two": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[
        deployment(loads),
        deployment(queries),
        deployment(scans),
        deployment(nested, tags=["nested"]),
        deployment(mixes),
        deployment(remote),
        deployment(holds, retry={"limit": 1, "delay": 0, "causes": ["lost"]}),
    ],
)
`;

/** Flows whose tasks take slots of limits, by name and by tag. */
export const LIMITED: Flows = {
  typescript: { "flows.ts": TYPESCRIPT, "towpath.config.ts": CONFIG },
  python: { "flows.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};
