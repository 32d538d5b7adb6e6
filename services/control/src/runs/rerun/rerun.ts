import { type Json, Problem, type RerunPlan, type Run, type Trigger } from "@towpath/contract";
import { getLatestVersion, getVersion, type PinnedVersion } from "../../deployments/index.ts";
import { type Deps, inTransaction, type Queryable, type Scope } from "../../kernel/index.ts";
import { createIn } from "../create/create.ts";
import { existingRun, holdRun, listTaskRunRows } from "../history/find.ts";
import { hasEnded } from "../moves/state.ts";
import { getRun } from "../read/read.ts";
import type { RunRow, TaskRunRow } from "../table.ts";
import { lineageOf, originOf, standingIn } from "./checkpoints.ts";
import { PlanDraft } from "./plan.ts";

/** The most task runs that a plan looks at, and how many at once. */
const PLAN_ROWS_MAX = 100_000;
const PLAN_ROWS = 5_000;

/** Which run to run again, and how. */
export interface Again {
  readonly runId: string;
  /** Takes over what was completed and still holds. */
  readonly fromFailure: boolean;
  /** Runs the version that ran then. */
  readonly sameVersion: boolean;
}

/** How many task runs several plans together may still read. None left: the plan is incomplete. */
export interface Budget {
  rows: number;
}

/**
 * Creates a new run with the request of a run that has ended. Idempotent by the new run's id.
 * @throws Problem `run-not-found`; `run-transition-not-allowed` before it has ended; `version-below-floor`;
 * `deployment-not-found`; `queue-not-found` if its queue is deleted; `invalid-parameters`; `run-id-conflict`.
 */
export async function rerunRun(
  deps: Deps,
  scope: Scope,
  args: Again & { id: string; parameters?: { [key: string]: Json } | undefined },
): Promise<Run> {
  const { workspaceId } = scope;
  const source = await endedRun(deps.database.db, { workspaceId, runId: args.runId });
  const { versionId } = await versionOf(deps.database.db, source, args);
  const trigger: Trigger = {
    kind: "rerun",
    name: scope.actor.name,
    runId: source.id,
    fromFailure: args.fromFailure,
    origin: args.fromFailure ? originOf(source) : args.id,
  };
  const request = {
    id: args.id,
    deployment: source.deployment,
    parameters: args.parameters ?? source.parameters,
    priority: source.priority,
    queue: source.queue ?? undefined,
    tags: source.tags,
  };
  const runId = await inTransaction(deps, async (tx) => {
    const created = await createIn(tx, deps, { workspaceId, request, trigger, versionId });
    // A removal of the source waits for this lock, and then finds the rerun.
    if (!(await holdRun(tx, { workspaceId, runId: source.id })))
      await existingRun(tx, { workspaceId, runId: source.id });
    return created;
  });
  return getRun(deps, scope, { runId, from: deps.database.db });
}

/**
 * Plans a rerun: the tasks that it would reuse and the tasks that it would run, as far as they are known before it runs.
 * @param args.budget task runs that may be read; this call takes its part. Missing: those of the whole chain.
 * @throws Problem as `rerunRun`.
 */
export async function planRerun(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: Again & { budget?: Budget },
): Promise<RerunPlan> {
  const from = deps.database.reads;
  const source = await endedRun(from, { workspaceId: scope.workspaceId, runId: args.runId });
  const version = await versionOf(from, source, args);
  const draft = new PlanDraft();
  const budget = args.budget ?? { rows: Number.POSITIVE_INFINITY };
  const chain = [...(await lineageOf(from, source)), source];
  const gone = chain.filter((run) => run.checkpointsDeletedAt !== null).map(({ id }) => id);
  for (const run of chain) await addTasks(from, { draft, run, gone, budget });
  const { code, tasks = {} } = version.spec;
  return {
    deployment: source.deployment,
    versionBefore: source.version,
    version: version.version,
    ...draft.steps({ spec: { code, tasks }, fromFailure: args.fromFailure }),
  };
}

async function endedRun(from: Queryable, args: { workspaceId: string; runId: string }): Promise<RunRow> {
  const source = await existingRun(from, args);
  if (source.task !== null)
    throw new Problem(
      "run-transition-not-allowed",
      `Run ${args.runId} executes only the task "${source.task}" of run ${source.parentId}. Rerun run ${source.parentId} instead.`,
    );
  if (hasEnded(source)) return source;
  throw new Problem(
    "run-transition-not-allowed",
    `Run ${args.runId} is ${source.state}. Only a run that has ended can be rerun.`,
  );
}

/**
 * The version to run. Refuses a version below the latest floor, since every worker that knows the floor would refuse
 * it.
 */
async function versionOf(
  from: Queryable,
  source: RunRow,
  args: { sameVersion: boolean },
): Promise<PinnedVersion> {
  const { workspaceId, deployment: name, versionId } = source;
  const latest = await getLatestVersion(from, { workspaceId, name });
  if (!args.sameVersion || latest.versionId === versionId) return latest;
  if (source.version >= latest.spec.floor) return getVersion(from, { workspaceId, versionId });
  throw new Problem(
    "version-below-floor",
    `Version ${source.version} of "${name}" is below ${latest.spec.floor}, the oldest that its latest spec still allows, so workers would refuse it. Rerun with the latest version. To run the old code, roll back to it: that signs it as a new version. Or set \`floor\` of the deployment to ${source.version}, and deploy.`,
  );
}

async function addTasks(
  from: Queryable,
  args: { draft: PlanDraft; run: RunRow; gone: readonly string[]; budget: Budget },
): Promise<void> {
  const { draft, run, gone, budget } = args;
  const name = { workspaceId: run.workspaceId, runId: run.id };
  let after = { attempt: 0, ord: 0 };
  for (let seen = 0; seen < PLAN_ROWS_MAX && budget.rows > 0; ) {
    const limit = Math.min(PLAN_ROWS, budget.rows);
    const rows = await listTaskRunRows(from, { ...name, limit, after });
    const stands = await standingIn(from, run.workspaceId, rows);
    for (const row of rows) draft.add(row, { deleted: isDeleted(row, gone), stands: stands(row) });
    budget.rows -= rows.length;
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit) return;
    after = { attempt: last.attempt, ord: last.ord };
    seen += rows.length;
  }
}

/** Whether the checkpoint of a task run was deleted, with those of its run or of the run that it was reused from. */
function isDeleted(row: TaskRunRow, gone: readonly string[]): boolean {
  return gone.some((runId) => row.runId === runId || row.result?.uri.includes(`/runs/${runId}/`));
}
