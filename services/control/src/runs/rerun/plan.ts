import { codeVersionOf, planTasksMax, type RerunPlan, type Spec } from "@towpath/contract";
import type { TaskRunRow } from "../table.ts";

/** What is known of one task call over all attempts that a rerun may take over from. */
interface Known {
  readonly latest: TaskRunRow;
  /** The latest that completed with a result that was kept, or failed by an error that is thrown again. */
  readonly kept: TaskRunRow | null;
  /** Whether the latest that completed was kept until its run's checkpoints were deleted. */
  readonly deleted: boolean;
}

type Step = RerunPlan["tasks"][number];

/** Everything runs again, whatever is known. */
export const WHOLE = "a full rerun reuses no results";

/** A call's result still counts after a later call. Its error does not, if a run has failed by it since. */
function keptBefore(kept: TaskRunRow | null, later: TaskRunRow): TaskRunRow | null {
  const hasFailed = later.state === "failed" && later.codeVersion !== null;
  return hasFailed && kept?.state === "failed" ? null : kept;
}

/** Why a call cannot be taken over, or null if it can. */
function hindrance({ latest, kept, deleted }: Known, spec: Pick<Spec, "code" | "tasks">): string | null {
  if (kept === null && deleted) return `the checkpoint of ${latest.name} was deleted`;
  if (kept === null)
    return latest.state === "completed"
      ? `the result of ${latest.name} was not kept`
      : `${latest.name} did not complete`;
  const version = Object.hasOwn(spec.tasks, kept.name) ? spec.tasks[kept.name] : codeVersionOf(spec);
  return kept.codeVersion === version ? null : `the code of ${kept.name} changed`;
}

/** Whether some call that this one was part of is taken over, which then stands for it. */
function isCovered(path: string, reused: ReadonlySet<string>): boolean {
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
    if (reused.has(path.slice(0, at))) return true;
  return false;
}

/** Builds a plan from task runs. Of two under one path, the one that is added later counts. */
export class PlanDraft {
  readonly #known = new Map<string, Known>();

  /**
   * @param args.deleted Whether what it left is no longer known.
   * @param args.stands Whether it is a failure that is thrown again.
   */
  add(row: TaskRunRow, { deleted, stands }: { deleted: boolean; stands: boolean }): void {
    const before = this.#known.get(row.path) ?? { kept: null, deleted: false };
    const isKept = (row.state === "completed" && row.result !== null) || stands;
    const kept = isKept && !deleted ? row : keptBefore(before.kept, row);
    const isGone = row.state === "completed" ? deleted : before.deleted;
    this.#known.set(row.path, { latest: row, kept, deleted: isGone });
  }

  /** What a rerun would do under a spec. */
  steps(args: {
    spec: Pick<Spec, "code" | "tasks">;
    fromFailure: boolean;
  }): Pick<RerunPlan, "reuse" | "run" | "reasons" | "tasks"> {
    const reasonOf = new Map(
      [...this.#known].map(([path, known]) => [path, args.fromFailure ? hindrance(known, args.spec) : WHOLE]),
    );
    const reused = new Set([...reasonOf].flatMap(([path, reason]) => (reason === null ? [path] : [])));
    const steps = [...this.#known.values()]
      .filter(({ latest }) => !isCovered(latest.path, reused))
      .map(({ latest: { path, name }, kept }): Step => {
        const reason = reasonOf.get(path) ?? null;
        if (reason !== null) return { path, name, action: "run", reason };
        return { path, name, action: "reuse", reason, ...(kept?.state === "failed" && { failed: true }) };
      });
    return { ...counted(steps), tasks: steps.slice(0, planTasksMax) };
  }
}

function counted(steps: readonly Step[]): Pick<RerunPlan, "reuse" | "run" | "reasons"> {
  const why = new Map<string, number>();
  for (const { reason } of steps) if (reason !== null) why.set(reason, (why.get(reason) ?? 0) + 1);
  const reasons = [...why].map(([reason, tasks]) => ({ reason, tasks })).sort((a, b) => b.tasks - a.tasks);
  const run = reasons.reduce((sum, { tasks }) => sum + tasks, 0);
  return { reuse: steps.length - run, run, reasons };
}
