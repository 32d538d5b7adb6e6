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

/** From saving a flow under `towpath dev --run` until the first line of the run that has the new code. */
export async function devRow(arena: Arena): Promise<Row> {
  const saves = sized(arena, { tiny: 1, quick: 5, full: 15 });
  const took: number[] = [];
  await using dev = await startDev({
    files: { "flows/saved.ts": flowOf(0), "towpath.config.ts": CONFIG },
    args: (folder) => ["--run", "saved", "-p", `folder=${folder}`],
  });
  await dev.process.waitFor(/Watching/, WAIT_MAX_MS);
  for (let save = 1; save <= saves; save++) {
    await pause(WRITING_MS);
    const startMs = nowMs();
    await dev.save("flows/saved.ts", flowOf(save));
    took.push((await firstLine(dev, save)) - startMs);
  }
  return {
    row: "dev",
    unit: "ms",
    ours: latencies(took),
    peers: {},
    ratio: null,
    aim: "within 1000",
    how:
      "From saving a flow in a project under `towpath dev --run` until the first line of the run with the new code: noticed, bundled, " +
      `pushed, signed, registered, run created, claimed, fetched, launched. ${saves} saves, ${WRITING_MS / 1000} s after the run before.`,
  };
}
