import { z } from "zod";
import { LIMITS } from "../kernel/limits.ts";
import { DeploymentName, Id } from "../kernel/names.ts";
import { PROBLEM_CODES } from "../kernel/problems.ts";
import { RerunPlan, RerunRun } from "./reruns.ts";
import { CancelRun, RunStateName } from "./runs.ts";

const RunIds = z.array(Id).min(1).max(LIMITS.bulkRuns);
const how = RerunRun.pick({ fromFailure: true, sameVersion: true }).shape;

/** Why one item was refused. */
const Refused = z.object({ code: z.enum(PROBLEM_CODES), detail: z.string() });

/** Cancels several runs. */
export const CancelRuns = z.strictObject({ runIds: RunIds, ...CancelRun.shape });
export type CancelRuns = z.input<typeof CancelRuns>;

/** The result for each run, in order. */
export const CancelOutcomes = z.object({
  items: z.array(
    z.object({
      runId: Id,
      state: RunStateName.nullable().describe(
        "The run's present state. It ends when its worker has stopped it.",
      ),
      problem: Refused.nullable().describe("Why it was not cancelled. Null if it was."),
    }),
  ),
});
export type CancelOutcomes = z.infer<typeof CancelOutcomes>;

/** Deletes the refs of several runs. */
export const DeleteCheckpoints = z.strictObject({ runIds: RunIds });
export type DeleteCheckpoints = z.input<typeof DeleteCheckpoints>;

/** The result for each run, in order. */
export const DeletedCheckpoints = z.object({
  items: z.array(
    z.object({
      runId: Id,
      refs: z.int().describe("The number of deleted refs. 0 if there were none, or if it was refused."),
      problem: Refused.nullable().describe("Why they were not deleted. Null if they were."),
    }),
  ),
});
export type DeletedCheckpoints = z.infer<typeof DeletedCheckpoints>;

/** Plans the reruns of several runs. */
export const PlanReruns = z.strictObject({ runIds: RunIds, ...how });
export type PlanReruns = z.input<typeof PlanReruns>;

/** The plan for each run, in order. */
export const RerunPlans = z.object({
  items: z.array(
    z.object({
      runId: Id,
      plan: RerunPlan.pick({ versionBefore: true, version: true })
        .extend({
          deployment: DeploymentName,
          reuse: RerunPlan.shape.reuse.nullable(),
          run: RerunPlan.shape.run
            .nullable()
            .describe("Null, like `reuse`: the run has too many tasks to plan."),
        })
        .nullable(),
      problem: Refused.nullable().describe("Why it cannot be rerun. Null if it can."),
    }),
  ),
});
export type RerunPlans = z.infer<typeof RerunPlans>;

/** Reruns several runs that have ended. */
export const RerunRuns = z.strictObject({
  runs: z
    .array(z.object({ runId: Id, id: RerunRun.shape.id }))
    .min(1)
    .max(LIMITS.bulkRuns),
  ...how,
});
export type RerunRuns = z.input<typeof RerunRuns>;

/** The result for each run, in order. */
export const RerunOutcomes = z.object({
  items: z.array(
    z.object({
      runId: Id,
      id: Id.nullable().describe(
        "The new run. A repeated request returns the same run. Null if it was refused.",
      ),
      problem: Refused.nullable(),
    }),
  ),
});
export type RerunOutcomes = z.infer<typeof RerunOutcomes>;
