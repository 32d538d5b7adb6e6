import type { ComputeNeeds } from "@towpath/contract/words";
import { Failure } from "../../failure.ts";
import type { SourceModule } from "./module-graph.ts";
import type { Outlines } from "./outlines.ts";
import type { PoolUse } from "./statements.ts";

/** The pools in which the code calls a task. */
export interface RemoteUse {
  readonly pools: ReadonlySet<string>;
  /** Whether the code also calls it in a pool whose name is not written in the code. */
  readonly isOpen: boolean;
  /** What a task in Python needs from a worker. Null: nothing. Missing: the loaded module declares it. */
  readonly compute?: ComputeNeeds | null;
}

/** Remote tasks by name. */
export type RemoteUses = ReadonlyMap<string, RemoteUse>;

function taskOf(outlines: Outlines, module: SourceModule, task: PoolUse["task"]): string | null {
  if (typeof task === "string") return task;
  const found = outlines.declaration(module, task);
  if (found === null) return null;
  const { tasks, uses, declares } = found.statement;
  const [made] = tasks;
  if (made !== undefined) return made.name;
  // `const onGpu = train.with({ … })` and `export default train`: the task is the one that it is made of.
  const of = [...uses].find((name) => !declares.includes(name));
  if (of === undefined) return null;
  return taskOf(outlines, found.module, { name: of, member: null });
}

function poolOf(outlines: Outlines, module: SourceModule, { pool }: PoolUse): string | null {
  if (pool === null || typeof pool === "string") return pool;
  return outlines.declaration(module, pool)?.statement.holds ?? null;
}

function refuse(module: SourceModule, { task }: PoolUse): never {
  const name = typeof task === "string" ? task : task.name;
  throw new Failure(
    `${module.path}: the task "${name}" runs in another pool, but it is created inside a function.`,
    {
      exit: "configuration",
      code: "not-remote",
      next: ["declare it at the top level of its module, so that a worker of that pool can find it"],
    },
  );
}

/**
 * The remote tasks of a flow's modules: called by `.with({ pool })`, or with a pool in their own options. Finds only tasks whose
 * names are written in the code. Others are refused when they are called.
 * @throws Failure for a remote task that is not declared at the top level of a module.
 */
export function remoteTasks(outlines: Outlines): RemoteUses {
  const uses = new Map<string, { pools: Set<string>; isOpen: boolean }>();
  for (const module of outlines.modules)
    for (const statement of outlines.of(module).statements)
      for (const use of statement.pools) {
        if (use.isInside) refuse(module, use);
        const task = taskOf(outlines, module, use.task);
        if (task === null) continue;
        const known = uses.get(task) ?? { pools: new Set(), isOpen: false };
        const pool = poolOf(outlines, module, use);
        if (pool === null) known.isOpen = true;
        else known.pools.add(pool);
        uses.set(task, known);
      }
  return uses;
}
