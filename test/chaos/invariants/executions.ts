import { existsSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { AGENT } from "../agent.ts";
import { STOPPING } from "../flows.ts";
import { type Execution, executionsOf } from "../ledger.ts";
import type { Scene } from "../scene.ts";
import type { Breach } from "./tables.ts";

/** At most one process executes an attempt: a start that was not confirmed runs nothing. Counts under invariant 2 (one lease). */
export function onceEach(executions: readonly Execution[]): Breach[] {
  return [...Map.groupBy(executions, ({ attemptId }) => attemptId)]
    .filter(([, own]) => own.length > 1)
    .map(([id, own]) => ({
      invariant: 2,
      seen: `run ${own[0]?.run}, attempt ${own[0]?.attempt} (${id}), was executed by ${own.length} processes`,
    }));
}

/**
 * A run is completed if and only if a process of its last attempt reached the end. Counts under invariant 4. Agents run nothing, so
 * their runs are not in the ledger.
 */
export async function completedRan(scene: Scene, executions: readonly Execution[]): Promise<Breach[]> {
  const rows = await scene.sql<{ id: string; attempts: number }[]>`
    select id, attempts from run r where state = 'completed' and not exists (
      select 1 from attempt a where a.run_id = r.id and a.ordinal = r.attempts and starts_with(a.worker_name, ${AGENT}))`;
  return rows
    .filter(({ id, attempts }) => {
      const own = executions.filter(({ run, attempt }) => run === id && attempt === attempts);
      return scene.runs.some((run) => run.id === id) && !own.some(({ ended }) => ended);
    })
    .map(({ id }) => ({ invariant: 4, seen: `run ${id} is completed, and nothing of it got to its end` }));
}

/** Invariant 6: under `stop`, the processes of two attempts of a run never overlap, unless a host was paused. */
export function noOverlap(scene: Scene, executions: readonly Execution[]): Breach[] {
  if (scene.paused) return [];
  const breaches: Breach[] = [];
  for (const run of scene.runs.filter(({ deployment }) => STOPPING.includes(deployment))) {
    const own = executions.filter((one) => one.run === run.id).sort((a, b) => a.firstMs - b.firstMs);
    for (const [index, one] of own.entries()) {
      const next = own[index + 1];
      if (next !== undefined && one.lastMs > next.firstMs) {
        const seen = `run ${run.id}: attempt ${one.attempt} lived ${Math.round(one.lastMs - next.firstMs)} ms into attempt ${next.attempt}`;
        breaches.push({ invariant: 6, seen });
      }
    }
  }
  return breaches;
}

/** How long a killed process may take to disappear on a busy machine, milliseconds. */
const GONE_MAX_MS = 10_000;

/** Invariant 11: once the runs have ended, no process of an attempt is left, nor a child of one. */
export async function noLeftovers(executions: readonly Execution[]): Promise<Breach[]> {
  const deadline = performance.now() + GONE_MAX_MS;
  for (;;) {
    const left = executions.flatMap((one) =>
      [one.pid, ...one.children].filter(isOurs).map((pid) => ({
        invariant: 11,
        seen: `process ${pid} of run ${one.run}, attempt ${one.attempt}, is still there`,
      })),
    );
    if (left.length === 0 || performance.now() > deadline) return left;
    await pause(50);
  }
}

/** Whether a process lives and carries a runner's mark: the pid alone may belong to another process by now. */
function isOurs(pid: number): boolean {
  try {
    if (!existsSync(`/proc/${pid}`)) return false;
    if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) return false;
    return readFileSync(`/proc/${pid}/environ`, "utf8").includes("TOWPATH_RUNNER=");
  } catch {
    return false;
  }
}

/** All executions, from the ledger. */
export async function readExecutions(scene: Scene): Promise<Execution[]> {
  return executionsOf(await scene.ledger());
}
