import type { Flows } from "./languages.fixture.ts";

const TYPESCRIPT = `
import { access, appendFile, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { ctx, flow, now, task } from "towpath";
import { z } from "zod";
import { bend } from "./lib/bend.ts";

const note = (folder: string, text: string) => appendFile(folder + "/ledger", text + "\\n");
const load = task({ name: "load" }, async ({ folder, n }: { folder: string; n: number }) => {
  await note(folder, "load " + n);
  return { at: new Date(bend(n)), seen: new Set([n]) };
});
const hold = task({ name: "hold" }, async (folder: string) => {
  const before = (await ctx.kept<number>("times")) ?? 0;
  await ctx.keep("times", before + 1);
  await note(folder, "hold after " + before);
  await writeFile(folder + "/holding", String(process.pid));
  for (;;) {
    if (await access(folder + "/go").then(() => true, () => false)) return before + 1;
    await pause(20);
  }
});
const summarise = task({ name: "summarise" }, async ({ folder, times }: { folder: string; times: number[] }) => {
  await note(folder, "summarise");
  if (BROKEN) throw new Error("a fault in the code");
  return times.reduce((sum, one) => sum + one, 0);
});
export const sample = flow({ name: "sample", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  await note(folder, "from " + now().toISOString());
  const loaded = await Promise.all([1, 2, 3].map((n) => load({ folder, n })));
  await hold(folder);
  return { sum: await summarise({ folder, times: loaded.map((one) => one.at.getTime() + one.seen.size) }) };
});
`;
const PYTHON = `
import os, time
from datetime import datetime, timezone
from pathlib import Path
from flows.lib.bend import bend
from towpath import flow, keep, kept, now, task

def note(folder: str, text: str) -> None:
    with open(Path(folder) / "ledger", "a") as file:
        file.write(text + "\\n")

@task
def load(folder: str, n: int) -> dict:
    note(folder, f"load {n}")
    return {"at": datetime.fromtimestamp(bend(n), timezone.utc), "seen": {n}}

@task
def hold(folder: str) -> int:
    before = kept("times", 0)
    keep("times", before + 1)
    note(folder, f"hold after {before}")
    (Path(folder) / "holding").write_text(str(os.getpid()))
    while not (Path(folder) / "go").exists():
        time.sleep(0.02)
    return before + 1

@task
def summarise(folder: str, times: list[float]) -> float:
    note(folder, "summarise")
    if BROKEN:
        raise RuntimeError("a fault in the code")
    return sum(times)

@flow
def sample(folder: str) -> dict:
    note(folder, f"from {now().isoformat()}")
    calls = [load.submit(folder, n) for n in [1, 2, 3]]
    loaded = [call.result() for call in calls]
    hold(folder)
    return {"sum": summarise(folder, [one["at"].timestamp() + len(one["seen"]) for one in loaded])}
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { sample } from "./flows/sample.ts";
export default defineConfig({
  project: "resume",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  // An exact replay runs an old version.
  deployments: [deployment(sample, { floor: 1, retry: { limit: 3, delayMs: 0, causes: ["killed", "lost"] } })],
});
`;
const PYTHON_CONFIG = `
from flows.sample import sample
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "resume",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[deployment(sample, floor=1, retry={"limit": 3, "delay": 0, "causes": ["killed", "lost"]})],
)
`;

/**
 * A flow that appends each step to a file and waits in the middle until the test lets it continue.
 * One of its tasks uses a module that can be changed.
 */
export function resumeFlows({
  broken = false,
  factor = 10,
}: {
  broken?: boolean;
  factor?: number;
} = {}): Flows {
  const python = broken ? "True" : "False";
  return {
    typescript: {
      "flows/sample.ts": TYPESCRIPT.replace("BROKEN", String(broken)),
      "flows/lib/bend.ts": `export const bend = (n: number): number => n * ${factor};\n`,
      "towpath.config.ts": CONFIG,
    },
    python: {
      "flows/sample.py": PYTHON.replace("BROKEN", python),
      "flows/lib/bend.py": `def bend(n: int) -> int:\n    return n * ${factor}\n`,
      "towpath_config.py": PYTHON_CONFIG,
    },
  };
}
