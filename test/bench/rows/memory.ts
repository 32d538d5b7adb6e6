import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Arena, sized } from "../arena.ts";
import type { Row } from "../figures.ts";
import { startPythonWorker } from "../python-project.ts";

/** How results of a map are taken: one by one, by keys of their own, or awaited as a whole. */
const FORMS = ["iterated", "keyed", "whole"] as const;
const MIB = 1024 * 1024;

/** The most memory that each process has had while one run was under way, MiB. */
interface Peaks {
  readonly flow: number;
  readonly worker: number;
  readonly control: number;
}

/** Has the system forget how much memory a process once had. */
async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
}

/** The most memory that a process has had, MiB. */
async function peakOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** One run in a process of its own, through a worker of its own. */
async function peaksOf(
  arena: Arena,
  args: { deployment: string; form: string; count: number },
): Promise<Peaks> {
  const { stack } = arena;
  const { deployment, form, count } = args;
  const name = `memory-${deployment}-${form}-${count}`;
  await using worker = await startPythonWorker(stack, name);
  // A run before, so that what is measured is not what a worker reads and compiles for its first.
  const before = await stack.waitForRun(await stack.run("tasks", { count: 1 }));
  if (before.state !== "completed") throw new Error(`The run before is ${before.state}.`);
  await forgetPeak(worker.pid);
  await forgetPeak(stack.control.pid);
  const file = join(stack.folder, `${name}.peak`);
  const run = await stack.waitForRun(await stack.run(deployment, { form, count, file }));
  if (run.state !== "completed") throw new Error(`The run is ${run.state}: ${run.error?.message}`);
  const flow = Number(await readFile(file, "utf8")) / MIB;
  const peaks = { flow, worker: await peakOf(worker.pid), control: await peakOf(stack.control.pid) };
  worker.kill("SIGTERM");
  await worker.exited;
  return peaks;
}

async function peaks(arena: Arena, row: string, deployment: string): Promise<Row> {
  const few = sized(arena, { tiny: 10, quick: 1_000, full: 1_000 });
  const many = sized(arena, { tiny: 50, quick: 20_000, full: 100_000 });
  const ours: Record<string, number> = {};
  const ratios: number[] = [];
  for (const form of FORMS) {
    const least = await peaksOf(arena, { deployment, form, count: few });
    const most = await peaksOf(arena, { deployment, form, count: many });
    ratios.push(most.flow / least.flow);
    for (const part of ["flow", "worker", "control"] as const) {
      ours[`${form}, ${part}, few`] = least[part];
      ours[`${form}, ${part}, many`] = most[part];
    }
  }
  return {
    row,
    unit: "MB",
    ours,
    peers: {},
    ratio: Math.max(...ratios),
    aim: "at most 1.3",
    how:
      `The highest memory of the flow's process, of its worker and of the control plane during a run of ${few} mapped tasks and one of ` +
      `${many}, 100 at once, each with a result that is kept; a worker of its own for each. The ratio is the highest of the flow's.`,
  };
}

/** What very many mapped tasks take of memory, beside what few do, in each process that has to do with them. */
export const memoryRow = (arena: Arena): Promise<Row> => peaks(arena, "memory", "mapped");

/** The same of a flow in Python, whose calls run in threads. */
export const pythonMemoryRow = (arena: Arena): Promise<Row> => peaks(arena, "python-memory", "python-mapped");
