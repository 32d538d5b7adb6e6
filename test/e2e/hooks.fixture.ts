import type { Flows } from "./languages.fixture.ts";

const TYPESCRIPT = `
import { appendFileSync, writeFileSync } from "node:fs";
import { flow, log, resource, suspend } from "towpath";
import { z } from "zod";

const input = z.object({ folder: z.string() });
const note = (folder: string, text: string) => appendFileSync(folder + "/ledger", text + "\\n");
const pager = resource({ name: "pager", open: () => "pager", close: () => log.info("closed the pager") });

export const dies = flow(
  {
    name: "dies",
    input,
    onCrash: async (error, context) => log.info("told the " + (await pager.get()) + ": " + error.runCause + " in attempt " + context.attempt),
    onFailure: () => log.info("told of a failure"),
  },
  async ({ folder }, ctx) => {
    note(folder, "attempt " + ctx.attempt);
    process.kill(process.pid, "SIGKILL");
    await new Promise(() => {});
  },
);
export const leaves = flow(
  {
    name: "leaves",
    onCrash: (error) => {
      console.log(error.message);
      throw new Error("nobody answers the page");
    },
  },
  async () => process.exit(3),
);
export const deaf = flow(
  { name: "deaf", input, onCancellation: (reason) => log.info("told: " + reason.reason), onCrash: () => log.info("told of a crash") },
  async ({ folder }) => {
    note(folder, "begun");
    writeFileSync(folder + "/holding", String(process.pid));
    for (let turns = 1; turns > 0; ) turns = (turns % 1000) + 1;
  },
);
export const silent = flow({ name: "silent" }, async () => process.exit(3));
export const asks = flow(
  {
    name: "asks",
    input,
    onCancellation: async (reason) => log.info("told the " + (await pager.get()) + ": " + reason.reason),
    onCrash: () => log.info("told of a crash"),
  },
  async ({ folder }, ctx) => {
    note(folder, "attempt " + ctx.attempt);
    await suspend.input({ title: "Go on?", schema: z.boolean() });
  },
);
export const stumbles = flow(
  {
    name: "stumbles",
    onCancellation: () => {
      throw new Error("nobody answers the page");
    },
  },
  async () => await suspend.input({ title: "Go on?", schema: z.boolean() }),
);
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { asks, deaf, dies, leaves, silent, stumbles } from "./flows.ts";
export default defineConfig({
  project: "hooks",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(dies, { retry: { limit: 1, delayMs: 0, causes: ["killed"] } }),
    deployment(deaf, { killGraceMs: 300 }),
    deployment(leaves),
    deployment(silent),
    deployment(asks),
    deployment(stumbles),
  ],
});
`;
const PYTHON = `
import os, signal
from pathlib import Path
from towpath import flow, log, resource, run_facts, suspend

def note(folder: str, text: str) -> None:
    with open(Path(folder) / "ledger", "a") as file:
        file.write(text + "\\n")

@resource
def pager():
    yield "pager"
    log.info("closed the pager")

def tell(error) -> None:
    log.info(f"told the {pager.get()}: {error.run_cause} in attempt {run_facts().attempt}")

@flow(on_crash=tell, on_failure=lambda _: log.info("told of a failure"))
def dies(folder: str) -> None:
    note(folder, f"attempt {run_facts().attempt}")
    os.kill(os.getpid(), signal.SIGKILL)

def page(error) -> None:
    print(error)
    raise RuntimeError("nobody answers the page")

@flow(on_crash=page)
def leaves() -> None:
    os._exit(3)

@flow(
    on_cancellation=lambda reason: log.info(f"told: {reason.reason}"),
    on_crash=lambda _: log.info("told of a crash"),
)
def deaf(folder: str) -> None:
    note(folder, "begun")
    (Path(folder) / "holding").write_text(str(os.getpid()))
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

@flow
def silent() -> None:
    os._exit(3)

@flow(
    on_cancellation=lambda reason: log.info(f"told the {pager.get()}: {reason.reason}"),
    on_crash=lambda _: log.info("told of a crash"),
)
def asks(folder: str) -> None:
    note(folder, f"attempt {run_facts().attempt}")
    suspend.input("Go on?", bool)

def refuse(reason) -> None:
    raise RuntimeError("nobody answers the page")

@flow(on_cancellation=refuse)
def stumbles() -> None:
    suspend.input("Go on?", bool)
`;
const PYTHON_CONFIG = `
from flows import asks, deaf, dies, leaves, silent, stumbles
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "hooks",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[
        deployment(dies, retry={"limit": 1, "delay": 0, "causes": ["killed"]}),
        deployment(deaf, kill_grace=0.3),
        deployment(leaves),
        deployment(silent),
        deployment(asks),
        deployment(stumbles),
    ],
)
`;

/** Flows that crash or ignore their cancellation, with hooks. */
export const HOOKED: Flows = {
  typescript: { "flows.ts": TYPESCRIPT, "towpath.config.ts": CONFIG },
  python: { "flows.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};
