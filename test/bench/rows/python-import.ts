import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { PYTHON_SDK } from "../../python/interpreters.ts";
import { type Arena, sized } from "../arena.ts";
import type { Figures, Row } from "../figures.ts";
import { DAGSTER, PREFECT, pythonWith } from "../installed.ts";

/** Prints the least processor time of one start of this Python with a program, milliseconds. */
const MEASURE = `
import resource, subprocess, sys
count, program = int(sys.argv[1]), sys.argv[2]
times = []
for _ in range(count):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    times.append((after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000)
print(min(times))
`;
const BARE = "pass";

function cpuOf(arena: Arena, args: { program: string; count: number; python?: string }): number {
  const { program, count, python = "python3" } = args;
  const { PYTHONDONTWRITEBYTECODE: _, ...inherited } = process.env;
  // As an installed package: compiled once.
  const PYTHONPYCACHEPREFIX = join(arena.stack.folder, "pycache");
  const home = {
    HOME: arena.stack.folder,
    PREFECT_HOME: arena.stack.folder,
    DAGSTER_HOME: arena.stack.folder,
  };
  const env = { ...inherited, ...home, PYTHONPATH: PYTHON_SDK, PYTHONPYCACHEPREFIX, DO_NOT_TRACK: "1" };
  return Number(execFileSync(python, ["-c", MEASURE, String(count), program], { encoding: "utf8", env }));
}

/** Processor time of importing `flow` and `task` above a bare start, beside Prefect and Dagster. */
export async function pythonImportRow(arena: Arena): Promise<Row> {
  const count = sized(arena, { tiny: 2, quick: 8, full: 20 });
  const bare = cpuOf(arena, { program: BARE, count });
  const ours = cpuOf(arena, { program: "from towpath import flow, task", count }) - bare;
  const above = async (packages: readonly string[], program: string): Promise<Figures | null> => {
    const python = await pythonWith(packages);
    if (python === null) return null;
    const theirs = { count: Math.min(count, 5), python };
    return { cpu: cpuOf(arena, { program, ...theirs }) - cpuOf(arena, { program: BARE, ...theirs }) };
  };
  const prefect = await above(PREFECT, "from prefect import flow, task");
  const dagster = await above(DAGSTER, "from dagster import asset, job, op");
  return {
    row: "python-import",
    unit: "ms",
    ours: { cpu: Math.max(ours, 0.01) },
    peers: {
      ...(prefect && { "Prefect 3.9": prefect }),
      ...(dagster && { "Dagster 1.13": dagster }),
      "a bare start": { cpu: bare },
    },
    ratio: prefect && ours / (prefect.cpu ?? 1),
    aim: "a twentieth of Prefect",
    how: `The least processor time of ${count} starts of the interpreter with compiled packages, without that of a bare start.`,
  };
}
