import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Dev, startDev } from "../../harness/dev.ts";
import { type Arena, sized } from "../arena.ts";
import { latencies, type Row } from "../figures.ts";
import { nowMs } from "../project.ts";

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { saved } from "./flows/saved.ts";

export default defineConfig({ project: "dev", pool: "local", registry: ociLayout(".towpath/registry"), deployments: [deployment(saved)] });
`;

const flowOf = (save: number) => `
import { writeFileSync } from "node:fs";
import { flow, log, task } from "towpath";
import { z } from "zod";

const add = task({ name: "add" }, async (n: number) => n + ${save});
export const saved = flow({ name: "saved", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  writeFileSync(folder + "/${save}", String(performance.timeOrigin + performance.now()));
  log.info("save " + (await add(0)));
});
`;

const PYTHON_CONFIG = `
from flows.saved import saved
from towpath.config import deployment, oci_layout, project

config = project("dev", pool="local", registry=oci_layout(".towpath/registry"), deployments=[deployment(saved)])
`;

const pythonFlowOf = (save: number) => `
import time
from towpath import flow, log, task

@task
def add(n: int) -> int:
    return n + ${save}

@flow
def saved(folder: str) -> None:
    with open(f"{folder}/${save}", "w") as file:
        file.write(str(time.time_ns() / 1e6))
    log.info("save", add(0))
`;

const LOOK_MS = 5;
const WAIT_MAX_MS = 120_000;
/** Long enough after a run for the next deploy to have been loaded ahead, as a person who writes leaves it. */
const WRITING_MS = 4_000;

async function firstLine(dev: Dev, save: number): Promise<number> {
  const file = join(dev.folder, String(save));
  for (const startMs = nowMs(); nowMs() - startMs < WAIT_MAX_MS; await pause(LOOK_MS)) {
    const atMs = existsSync(file) ? Number(await readFile(file, "utf8")) : 0;
    if (atMs > 0) return atMs;
  }
  throw new Error(`Save ${save} was not run within ${WAIT_MAX_MS} ms:\n${dev.process.output()}`);
}

interface Measured {
  readonly row: string;
  readonly aim: string;
  /** The path of the flow that is saved, and its text. */
  readonly path: string;
  readonly flowOf: (save: number) => string;
  readonly config: Record<string, string>;
  /** What happens to the code before it is pushed. */
  readonly step: string;
}

async function measure(arena: Arena, { row, aim, path, flowOf, config, step }: Measured): Promise<Row> {
  const saves = sized(arena, { tiny: 1, quick: 5, full: 15 });
  const took: number[] = [];
  await using dev = await startDev({
    files: { [path]: flowOf(0), ...config },
    args: (folder) => ["--run", "saved", "-p", `folder=${folder}`],
  });
  await dev.process.waitFor(/Watching/, WAIT_MAX_MS);
  for (let save = 1; save <= saves; save++) {
    await pause(WRITING_MS);
    const startMs = nowMs();
    await dev.save(path, flowOf(save));
    took.push((await firstLine(dev, save)) - startMs);
  }
  return {
    row,
    unit: "ms",
    ours: latencies(took),
    peers: {},
    ratio: null,
    aim,
    how:
      "From saving a flow in a project under `towpath dev --run` until the first line of the run with the new code: noticed, " +
      `${step}, pushed, signed, registered, run created, claimed, fetched, launched. ${saves} saves, ${WRITING_MS / 1000} s after the run before.`,
  };
}

/** From saving a flow under `towpath dev --run` until the first line of the run that has the new code. */
export function devRow(arena: Arena): Promise<Row> {
  return measure(arena, {
    row: "dev",
    aim: "within 1000",
    path: "flows/saved.ts",
    flowOf,
    config: { "towpath.config.ts": CONFIG },
    step: "bundled",
  });
}

/** The same for a flow in Python. */
export function pythonDevRow(arena: Arena): Promise<Row> {
  return measure(arena, {
    row: "python-dev",
    aim: "within 1500",
    path: "flows/saved.py",
    flowOf: pythonFlowOf,
    config: { "towpath_config.py": PYTHON_CONFIG },
    step: "imported",
  });
}
