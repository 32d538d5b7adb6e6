import type { Flows } from "./languages.fixture.ts";

const TYPESCRIPT = `
import { appendFileSync, writeFileSync } from "node:fs";
import { ctx, flow, log, resource, suspend, task, withSetup } from "towpath";
import { z } from "zod";

const input = z.object({ folder: z.string() });
const note = (folder: string, text: string) => appendFileSync(folder + "/ledger", text + "\\n");
const holding = (folder: string) => writeFileSync(folder + "/holding", String(process.pid));
const asked = () => new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
const onCancellation = (reason: Error) => log.info("told: " + reason.message);

const sleeps = task({ name: "sleeps", retries: 3, retryDelayMs: 0 }, async (folder: string, _name?: string) => {
  note(folder, "begun");
  holding(folder);
  await asked();
});
const after = task({ name: "after" }, async (folder: string) => note(folder, "after"));
const cluster = resource({ name: "cluster", open: () => "cluster", close: () => log.info("closed") });
export const tidy = flow({ name: "tidy", input, onCancellation }, async ({ folder }) => {
  const setup = async () => await cluster.get();
  const teardown = (made: string) => log.info("tore down " + made);
  await withSetup({ setup, teardown }, async () => await sleeps(folder));
});
export const catches = flow({ name: "catches", input }, async ({ folder }) => {
  await sleeps(folder).catch((error) => note(folder, "caught " + error.name));
  await after(folder);
});
export const finishes = flow({ name: "finishes", input, onCancellation }, async ({ folder }) => {
  await sleeps(folder).catch(() => {});
  return "done";
});
export const many = flow({ name: "many", input }, async ({ folder }) => {
  const names = Array.from({ length: 20 }, (_, at) => "item " + at);
  await sleeps.map(names.map(() => folder), { concurrency: 3 });
});
const spin = task({ name: "spin", thread: true }, async (folder: string) => {
  holding(folder);
  for (let turns = 1; turns > 0; ) turns = (turns % 1000) + 1;
});
export const spins = flow({ name: "spins", input }, async ({ folder }) => await spin(folder));
const block = task({ name: "block" }, async (folder: string) => {
  holding(folder);
  /^(a+)+$/.test("a".repeat(60) + "b");
});
export const blocks = flow({ name: "blocks", input, onCancellation }, async ({ folder }) => await block(folder));
const ignore = task({ name: "ignore" }, async (folder: string) => {
  holding(folder);
  await new Promise(() => setInterval(() => {}, 60_000));
});
export const ignores = flow({ name: "ignores", input, onCancellation }, async ({ folder }) => await ignore(folder));
export const asks = flow({ name: "asks", input, onCancellation }, async () => {
  await suspend.input({ title: "Publish?", schema: z.boolean() });
});
export const branches = flow({ name: "branches", input }, async ({ folder }) => {
  const one = async (name: string) => {
    try {
      await sleeps(folder, name);
    } finally {
      note(folder, "cleaned up");
    }
  };
  await Promise.all([one("a"), one("b")]);
});
`;
const TYPESCRIPT_CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import * as flows from "./flows.ts";
export default defineConfig({
  project: "cancel",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: Object.values(flows).map((flow) => deployment(flow, flow.name === "blocks" ? { killGraceMs: 300 } : {})),
});
`;
const PYTHON = `
import asyncio, os, re, time
from pathlib import Path
from towpath import flow, is_cancelled, log, resource, suspend, task, with_setup

def note(folder: str, text: str) -> None:
    with open(Path(folder) / "ledger", "a") as file:
        file.write(text + "\\n")

def holding(folder: str) -> None:
    written = Path(folder) / f"holding.{os.getpid()}.{time.monotonic_ns()}"
    written.write_text(str(os.getpid()))
    written.replace(Path(folder) / "holding")

def tell(reason: BaseException) -> None:
    log.info(f"told: {reason}")

@task(retries=3, retry_delay=0)
def sleeps(folder: str) -> None:
    note(folder, "begun")
    holding(folder)
    try:
        time.sleep(600)
    except Exception:
        note(folder, "an exception handler caught it")

@task
def after(folder: str) -> None:
    note(folder, "after")

@resource
def cluster():
    yield "cluster"
    log.info("closed")

@flow(on_cancellation=tell)
def tidy(folder: str) -> None:
    with with_setup(cluster.get, lambda made: log.info(f"tore down {made}")):
        sleeps(folder)

@flow
def catches(folder: str) -> None:
    try:
        sleeps(folder)
    except Exception:
        note(folder, "an exception handler caught it")
    except BaseException as error:
        note(folder, f"caught {type(error).__name__}")
    after(folder)

@flow(on_cancellation=tell)
def finishes(folder: str) -> str:
    try:
        sleeps(folder)
    except BaseException:
        pass
    return "done"

@task
def listens(folder: str) -> None:
    note(folder, "begun")
    while not is_cancelled():
        time.sleep(0.01)
    raise RuntimeError("asked to stop")

@flow
def many(folder: str) -> None:
    listens.with_options(concurrency=3).map([folder] * 20).results()

@task(runs_in="process")
def spin(folder: str) -> None:
    holding(folder)
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

@flow
def spins(folder: str) -> None:
    spin(folder)

@task
def block(folder: str) -> None:
    holding(folder)
    # Holds the interpreter's lock, so that no other thread runs.
    re.match("(a+)+$", "a" * 60 + "b")

@flow(on_cancellation=tell)
def blocks(folder: str) -> None:
    block(folder)

@task
def ignore(folder: str) -> None:
    holding(folder)
    time.sleep(600)

@flow(on_cancellation=tell)
def ignores(folder: str) -> None:
    ignore.submit(folder).result()

@flow(on_cancellation=tell)
def asks(folder: str) -> None:
    suspend.input("Publish?", bool)

@task(retries=3, retry_delay=0)
async def naps(folder: str, _name: str) -> None:
    note(folder, "begun")
    await asyncio.sleep(600)

@flow
async def branches(folder: str) -> None:
    async def one(name: str) -> None:
        try:
            await naps(folder, name)
        finally:
            await asyncio.sleep(0)
            note(folder, "cleaned up")

    await asyncio.gather(one("a"), one("b"))
`;
const PYTHON_CONFIG = `
import flows
from towpath import Flow
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "cancel",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[
        deployment(one, **({"kill_grace": 0.3} if one.name == "blocks" else {}))
        for one in vars(flows).values()
        if isinstance(one, Flow)
    ],
)
`;

/** Flows that wait in several ways until they are cancelled, and that write into a ledger what they do then. */
export const CANCELLED: Flows = {
  typescript: { "flows.ts": TYPESCRIPT, "towpath.config.ts": TYPESCRIPT_CONFIG },
  python: { "flows.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};
