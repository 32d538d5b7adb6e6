import {
  type CancelOutcomes,
  type DeletedCheckpoints,
  Problem,
  type ProblemCode,
  type RerunOutcomes,
  type RerunPlan,
  type RerunPlans,
} from "@towpath/contract";
import type { Deps, Scope } from "../../kernel/index.ts";
import { cancelRun } from "../requests/requests.ts";
import { deleteCheckpointsOf } from "./delete-checkpoints.ts";
import { type Again, type Budget, planRerun, rerunRun } from "./rerun.ts";

/** The most task runs that the plans of one request look at together: about a second of reading. */
const PLANNED_ROWS_MAX = 20_000;

/** Why one of many was refused. */
interface Refused {
  readonly code: ProblemCode;
  readonly detail: string;
}

/** The answer of one of many, or its refusal. Any other failure ends all of them. */
async function settled<Answer>(
  work: () => Promise<Answer>,
): Promise<{ answer: Answer; problem: null } | { answer: null; problem: Refused }> {
  try {
    return { answer: await work(), problem: null };
  } catch (failure) {
    if (!(failure instanceof Problem) || failure.status >= 500) throw failure;
    return { answer: null, problem: { code: failure.code, detail: failure.detail } };
  }
}

/** One after another, so that one request holds one connection and many locks never meet. */
async function each<Item, Answer>(
  items: readonly Item[],
  work: (item: Item) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const item of items) answers.push(await work(item));
  return answers;
}

/** Asks that several runs end, each as `cancelRun` does, and answered by itself. */
export async function cancelRuns(
  deps: Deps,
  scope: Scope,
  args: { runIds: readonly string[]; reason: string },
): Promise<CancelOutcomes> {
  const items = await each([...new Set(args.runIds)], async (runId) => {
    const { answer, problem } = await settled(() => cancelRun(deps, scope, { runId, reason: args.reason }));
    return { runId, state: answer?.state ?? null, problem };
  });
  return { items };
}

/** A plan as one of many: its counts are left out where the budget ended before all of it was seen. */
function shownPlan(plan: RerunPlan | null, budget: Budget): RerunPlans["items"][number]["plan"] {
  if (plan === null) return null;
  const { deployment, versionBefore, version, reuse, run } = plan;
  const whole = budget.rows > 0;
  return { deployment, versionBefore, version, reuse: whole ? reuse : null, run: whole ? run : null };
}

/** Plans the rerun of each of several runs, or says why a run cannot be rerun. Changes nothing. */
export async function planReruns(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: Omit<Again, "runId"> & { runIds: readonly string[] },
): Promise<RerunPlans> {
  const { runIds, ...how } = args;
  const budget: Budget = { rows: PLANNED_ROWS_MAX };
  const items = await each([...new Set(runIds)], async (runId) => {
    const { answer, problem } = await settled(() => planRerun(deps, scope, { runId, ...how, budget }));
    return { runId, plan: shownPlan(answer, budget), problem };
  });
  return { items };
}

/** Runs several runs again, each as `rerunRun` does, idempotent by its new id, and answered by itself. */
export async function rerunRuns(
  deps: Deps,
  scope: Scope,
  args: Omit<Again, "runId"> & { runs: readonly { runId: string; id: string }[] },
): Promise<RerunOutcomes> {
  const { runs, ...how } = args;
  const items = await each(runs, async ({ runId, id }) => {
    const { answer, problem } = await settled(() => rerunRun(deps, scope, { runId, id, ...how }));
    return { runId, id: answer?.id ?? null, problem };
  });
  return { items };
}

/** Deletes the checkpoints of several runs, each as `deleteCheckpointsOf`, with an answer for each. */
export async function deleteCheckpoints(
  deps: Deps,
  { workspaceId }: Pick<Scope, "workspaceId">,
  args: { runIds: readonly string[] },
): Promise<DeletedCheckpoints> {
  const items = await each([...new Set(args.runIds)], async (runId) => {
    const { answer, problem } = await settled(() => deleteCheckpointsOf(deps, { workspaceId, runId }));
    return { runId, refs: answer ?? 0, problem };
  });
  return { items };
}
