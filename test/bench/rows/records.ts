import { setTimeout as pause } from "node:timers/promises";
import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { startFlowWorker } from "../project.ts";

const LOOK_MS = 50;
const LOOKS_MAX = 2_400;

interface Taken {
  readonly control: number;
  readonly lines: number;
  readonly seconds: number;
}

/** What one run's attempt has brought in, from its start until its last record was stored. */
async function taken(arena: Arena, args: { flow: string; count: number }): Promise<Taken> {
  const runId = await arena.stack.run(args.flow, { count: args.count });
  const run = await arena.stack.waitForRun(runId);
  if (run.state !== "completed") throw new Error(`The run is ${run.state}: ${run.error?.message}`);
  for (let look = 0; look < LOOKS_MAX; look++) {
    const [row] = await arena.sql<{ done: boolean; control: number; lines: number; seconds: number }[]>`
      select a.bulk_acked >= a.last_bulk_seq as done, a.control_acked::int as control, a.next_line::int as lines,
        extract(epoch from greatest(a.ended_at, (select max(received_at) from log_chunk c where c.attempt_id = a.id))
          - a.started_at)::float8 as seconds
      from attempt a where a.run_id = ${runId}`;
    if (row?.done) return row;
    await pause(LOOK_MS);
  }
  throw new Error("The last lines of a run never came.");
}

/** Task records and log lines per second from one flow, through a real worker into the database. */
export async function recordsRow(arena: Arena): Promise<Row> {
  const tasks = sized(arena, { tiny: 5, quick: 1_000, full: 5_000 });
  const lines = sized(arena, { tiny: 20, quick: 20_000, full: 100_000 });
  const rounds = sized(arena, { tiny: 1, quick: 1, full: 3 });
  await using worker = await startFlowWorker(arena.stack, "records");
  const [taskRates, lineRates]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const ofTasks = await taken(arena, { flow: "tasks", count: tasks });
    taskRates.push(ofTasks.control / ofTasks.seconds);
    const ofLines = await taken(arena, { flow: "lines", count: lines });
    lineRates.push(ofLines.lines / ofLines.seconds);
  }
  worker.kill("SIGTERM");
  await worker.exited;
  return {
    row: "records",
    unit: "per second",
    peers: {},
    ratio: null,
    aim: "none",
    ours: { "task records": median(taskRates), "log lines": median(lineRates) },
    how:
      `One flow of ${tasks} tasks one after the other, and one of ${lines} log lines: from the confirmed start until all ` +
      `of it is committed, through the worker's journal on disk. Median of ${rounds} rounds. ` +
      "No peer: graphile-worker keeps neither steps nor lines, DBOS no lines; its steps are in the row `steps`.",
  };
}
