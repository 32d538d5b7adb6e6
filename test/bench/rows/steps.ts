import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startProcess } from "../../harness/process.ts";
import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { startFlowWorker } from "../project.ts";

const DBOS = fileURLToPath(new URL("../dbos.ts", import.meta.url));

/** Steps per second of one run, as the flow itself took the time. */
async function ourRate(
  arena: Arena,
  args: { count: number; durable: boolean; file: string },
): Promise<number> {
  const runId = await arena.stack.run("steps", args);
  const run = await arena.stack.waitForRun(runId);
  if (run.state !== "completed") throw new Error(`The run is ${run.state}: ${run.error?.message}`);
  const [began = 0, ended = 0] = (await readFile(args.file, "utf8")).trim().split(" ").map(Number);
  return (args.count * 1000) / (ended - began);
}

/** Steps per second of the peer, in a process of its own that is ended before ours goes on. */
async function dbosRate(arena: Arena, count: number): Promise<number> {
  await using dbos = startProcess({
    command: process.execPath,
    args: [DBOS, arena.peerUrl, String(count), "1"],
    cwd: arena.stack.folder,
    env: { PATH: process.env.PATH },
  });
  const code = await dbos.exited;
  const rates = /^\[.*\]$/m.exec(dbos.output())?.[0];
  if (code !== 0 || rates === undefined) throw new Error(`DBOS ended with ${code}:\n${dbos.output()}`);
  return median(JSON.parse(rates));
}

/** Steps within one run, one after the other, each of which keeps its result, beside DBOS on the same server. */
export async function stepsRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 5, quick: 500, full: 2_000 });
  const rounds = sized(arena, { tiny: 1, quick: 2, full: 3 });
  await using worker = await startFlowWorker(arena.stack, "steps");
  const file = join(arena.stack.folder, "steps-times");
  const [journalled, acknowledged, dbos]: [number[], number[], number[]] = [[], [], []];
  await ourRate(arena, { count: 5, durable: true, file });
  for (let round = 0; round < rounds; round++) {
    journalled.push(await ourRate(arena, { count, durable: false, file }));
    acknowledged.push(await ourRate(arena, { count, durable: true, file }));
    dbos.push(await dbosRate(arena, count));
  }
  worker.kill("SIGTERM");
  await worker.exited;
  const ours = { acknowledged: median(acknowledged), journalled: median(journalled) };
  const peer = { "DBOS 5.3.0": { steps: median(dbos) } };
  return {
    row: "steps",
    unit: "steps/s",
    ours,
    peers: peer,
    aim: "none",
    ratio: ours.acknowledged / peer["DBOS 5.3.0"].steps,
    how:
      `${count} steps one after the other, each with a result that is kept. Acknowledged: the control plane has committed it before the ` +
      `next begins, as DBOS commits each in Postgres; journalled, the default: it is in the worker's journal on disk. Median of ${rounds} rounds.`,
  };
}
