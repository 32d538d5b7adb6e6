import type { Flows } from "./languages.fixture.ts";

const TYPESCRIPT = `
import { access, appendFile, readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { ctx, flow, suspend, task } from "towpath";
import { z } from "zod";

const note = (folder: string, text: string) => appendFile(folder + "/ledger", text + "\\n");
const train = task({ name: "train" }, async ({ folder, rate }: { folder: string; rate: number }) => {
  await note(folder, "train " + rate);
  return rate * 100;
});
const publish = task({ name: "publish" }, async ({ folder, model }: { folder: string; model: number }) => {
  await note(folder, "publish " + model);
  return model;
});
const folder = z.string();
export const approval = flow({ name: "approval", input: z.object({ folder }) }, async ({ folder }) => {
  await note(folder, "process " + process.pid);
  const models = await train.map([1, 2, 3].map((rate) => ({ folder, rate })));
  const best = Math.max(...models);
  const ok = await suspend.input({ title: "Publish?", schema: z.boolean(), deadline: "3d" });
  return ok ? await publish({ folder, model: best }) : null;
});
export const parent = flow({ name: "parent", input: z.object({ folder }) }, async ({ folder }) => {
  const landed = await suspend.event("landed", { key: "seven", schema: z.object({ minutes: z.number() }) });
  const published = await ctx.runDeployment("approval", { folder });
  return { ...landed, published };
});
const hold = task({ name: "hold" }, async (folder: string) => {
  while (!(await access(folder + "/go").then(() => true, () => false))) await pause(20);
});
export const busy = flow({ name: "busy", input: z.object({ folder }) }, async ({ folder }) => {
  const asked = suspend.input({ title: "Now?", schema: z.boolean() }).then(() => note(folder, "answered"));
  await Promise.all([asked, hold(folder)]);
});
const charge = task({ name: "charge" }, async (folder: string) => {
  const isFirst = !(await readFile(folder + "/ledger", "utf8")).includes("charge");
  await note(folder, "charge");
  if (isFirst) throw new Error("no funds");
  return "charged";
});
const invoice = task({ name: "invoice" }, async (folder: string, why: string) => {
  await note(folder, "invoice: " + why);
  return "invoiced";
});
export const naps = flow({ name: "naps", input: z.object({ folder }) }, async ({ folder }) => {
  await note(folder, "process " + process.pid);
  const paid = await charge(folder).catch((error) => invoice(folder, error.name + " " + error.message));
  await suspend.for("11s");
  return paid;
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { approval, busy, naps, parent } from "./flows/approval.ts";
export default defineConfig({
  project: "suspend",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(approval, {}), deployment(busy, {}), deployment(naps, {}), deployment(parent, { mayStart: ["approval"] })],
});
`;
const PYTHON = `
import asyncio, os
from dataclasses import dataclass
from pathlib import Path
from towpath import flow, run_child, suspend, task

@dataclass
class Landed:
    minutes: float

def note(folder: str, text: str) -> None:
    with open(Path(folder) / "ledger", "a") as file:
        file.write(text + "\\n")

@task
def train(rate: int, folder: str) -> int:
    note(folder, f"train {rate}")
    return rate * 100

@task
def publish(folder: str, model: int) -> int:
    note(folder, f"publish {model}")
    return model

@flow
def approval(folder: str) -> int | None:
    note(folder, f"process {os.getpid()}")
    best = max(train.map([1, 2, 3], folder).results())
    ok = suspend.input("Publish?", bool, deadline="3d")
    return publish(folder, best) if ok else None

@flow
def parent(folder: str) -> dict:
    landed = suspend.event("landed", Landed, key="seven")
    return {"minutes": landed.minutes, "published": run_child("approval", {"folder": folder})}

@task
async def hold(folder: str) -> None:
    while not (Path(folder) / "go").exists():
        await asyncio.sleep(0.02)

@flow
async def busy(folder: str) -> None:
    async def asked() -> None:
        await suspend.input("Now?", bool)
        note(folder, "answered")

    await asyncio.gather(asked(), hold(folder))

@task
def charge(folder: str) -> str:
    is_first = "charge" not in (Path(folder) / "ledger").read_text()
    note(folder, "charge")
    if is_first:
        raise RuntimeError("no funds")
    return "charged"

@task
def invoice(folder: str, why: str) -> str:
    note(folder, f"invoice: {why}")
    return "invoiced"

@flow
def naps(folder: str) -> str:
    note(folder, f"process {os.getpid()}")
    try:
        paid = charge(folder)
    except Exception as error:
        paid = invoice(folder, f"Error {error}")
    suspend.sleep("11s")
    return paid
`;
const PYTHON_CONFIG = `
from flows.approval import approval, busy, naps, parent
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "suspend",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[
        deployment(approval),
        deployment(busy),
        deployment(naps),
        deployment(parent, may_start=["approval"]),
    ],
)
`;

/** Flows that train, ask people and publish. They append each step to a file. */
export const SUSPENDING: Flows = {
  typescript: { "flows/approval.ts": TYPESCRIPT, "towpath.config.ts": CONFIG },
  python: { "flows/approval.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};
