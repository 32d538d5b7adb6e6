import type { Flows } from "./languages.fixture.ts";

/** Trains in another pool. Each step appends a line with its pid to a file. */
const TYPESCRIPT = `
import { access, appendFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { ctx, flow, log, suspend, task } from "towpath";
import { z } from "zod";

const note = (folder: string, text: string) => appendFile(folder + "/ledger", text + "\\n");
const untilFree = async (file: string) => {
  while (!(await access(file).then(() => true, () => false))) await pause(20);
};
interface Given { folder: string; rate: number; hold?: boolean }
const load = task({ name: "load" }, async (folder: string) => {
  await note(folder, "load");
  return new Map([["a", 1n]]);
});
const train = task({ name: "train", retries: 1 }, async ({ folder, rate, hold }: Given, rows: Map<string, bigint>) => {
  await note(folder, "train " + rate + " in " + process.env.TOWPATH_TEST_POOL);
  if (hold) {
    await note(folder, "holding " + process.pid);
    await untilFree(folder + "/go");
  }
  log.info("trained with " + rate);
  return { weights: new Float64Array([rate]), at: new Date(0), rows: Number(rows?.get("a") ?? 0n) };
});
const fussy = task({ name: "fussy" }, async (rate: number) => {
  if (rate > 1) throw new RangeError("the rate " + rate + " is too high", { cause: new Error("from the lab") });
  return rate;
});
const folder = z.string();
const input = z.object({ folder, hold: z.boolean().default(false) });
export const parent = flow({ name: "parent", input }, async ({ folder, hold }) => {
  await note(folder, "process " + process.pid);
  const rows = await load(folder);
  const model = await train.with({ pool: "gpu" })({ folder, rate: 3, hold }, rows);
  await note(folder, "got " + model.weights[0] + " " + model.at.toISOString() + " " + model.rows);
  return { rate: model.weights[0] };
});
export const many = flow({ name: "many", input: z.object({ folder }) }, async ({ folder }) => {
  const onGpu = train.with({ pool: "gpu" });
  const models = await onGpu.map([1, 2, 3, 4, 5].map((rate) => ({ folder, rate })), { concurrency: 2 });
  return models.map((model) => model.weights[0]);
});
export const fails = flow({ name: "fails" }, async () => {
  try {
    await fussy.with({ pool: "gpu" })(7);
  } catch (error) {
    log.warn("caught " + (error as Error).name + " " + ((error as Error).cause as Error).name);
    throw error;
  }
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { fails, many, parent } from "./flows/remote.ts";
export default defineConfig({
  project: "remote",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  stages: { typescript: {}, "typescript-trial": { store: "scratch" } },
  deployments: [deployment(parent, { concurrency: { limit: 1, collision: "cancel-new" } }), deployment(many), deployment(fails)],
});
`;

const PYTHON = `
import os, time
from datetime import datetime, timezone
from pathlib import Path
from towpath import flow, log, task

def note(folder: str, text: str) -> None:
    with open(Path(folder) / "ledger", "a") as file:
        file.write(text + "\\n")

@task
def load(folder: str) -> dict[str, int]:
    note(folder, "load")
    return {"a": 1}

@task(retries=1, concurrency=2)
def train(given: dict[str, object], rows: dict[str, int] = {}) -> dict[str, object]:
    folder, rate = str(given["folder"]), given["rate"]
    note(folder, f"train {rate} in {os.environ.get('TOWPATH_TEST_POOL', 'undefined')}")
    if given.get("hold"):
        note(folder, f"holding {os.getpid()}")
        while not (Path(folder) / "go").exists():
            time.sleep(0.02)
    log.info(f"trained with {rate}")
    return {"weights": [rate], "at": datetime.fromtimestamp(0, timezone.utc), "rows": rows.get("a", 0)}

@task
def fussy(rate: int) -> int:
    if rate > 1:
        raise ValueError(f"the rate {rate} is too high") from RuntimeError("from the lab")
    return rate

@flow
def parent(folder: str, hold: bool = False) -> dict[str, object]:
    note(folder, f"process {os.getpid()}")
    rows = load(folder)
    model = train.with_options(pool="gpu")({"folder": folder, "rate": 3, "hold": hold}, rows)
    at = model["at"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
    note(folder, f"got {model['weights'][0]} {at} {model['rows']}")
    return {"rate": model["weights"][0]}

@flow
def many(folder: str) -> list[object]:
    models = train.with_options(pool="gpu").map([{"folder": folder, "rate": rate} for rate in range(1, 6)])
    return [model["weights"][0] for model in models]

@flow
def fails() -> None:
    try:
        fussy.with_options(pool="gpu")(7)
    except ValueError as error:
        log.warning(f"caught {type(error).__name__} {type(error.__cause__).__name__}")
        raise
`;
const PYTHON_CONFIG = `
from flows.remote import fails, many, parent
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "remote",
    pool="local",
    registry=oci_layout(REGISTRY),
    stages={"python": stage(), "python-trial": stage(store="scratch")},
    deployments=[
        deployment(parent, concurrency={"limit": 1, "collision": "cancel-new"}),
        deployment(many),
        deployment(fails),
    ],
)
`;

/** Flows that have tasks in another pool. */
export const REMOTE: Flows = {
  typescript: { "flows/remote.ts": TYPESCRIPT, "towpath.config.ts": CONFIG },
  python: { "flows/remote.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};
