import type { Flows } from "./languages.fixture.ts";

const TYPESCRIPT = `
import { existsSync } from "node:fs";
import { flow, log, task } from "towpath";
import { z } from "zod";

const load = task({ name: "load" }, async (marker: string) => {
  log.warn("loaded " + marker);
});
const input = z.object({ marker: z.string(), count: z.number().default(3) });
export const talks = flow({ name: "talks", input }, async ({ marker, count }) => {
  log.info("logged " + marker);
  console.log("printed " + marker);
  await load(marker);
  for (let index = 0; index < count; index++) log.info(index + " of " + marker);
  console.error("ends " + marker);
});
export const waits = flow(
  { name: "waits", input: z.object({ marker: z.string(), file: z.string() }) },
  async ({ marker, file }) => {
    console.log("before " + marker);
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 50));
    console.log("after " + marker);
  },
);
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { talks, waits } from "./flows/talks.ts";
export default defineConfig({
  project: "stored",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(talks),
    deployment(waits),
  ],
});
`;
const PYTHON = `
import sys
from towpath import flow, log, task

@task
def load(marker: str) -> None:
    log.warning("loaded " + marker)

@flow
def talks(marker: str, count: int = 3) -> None:
    log.info("logged " + marker)
    print("printed " + marker, flush=True)
    load(marker)
    for index in range(count):
        log.info(f"{index} of {marker}")
    print("ends " + marker, file=sys.stderr, flush=True)
`;
const PYTHON_CONFIG = `
from flows.talks import talks
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "stored",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[deployment(talks)],
)
`;

/** Flows that log their parameter in each way. */
export const TALKING: Flows = {
  typescript: { "flows/talks.ts": TYPESCRIPT, "towpath.config.ts": CONFIG },
  python: { "flows/talks.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};
