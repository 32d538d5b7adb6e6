import { z } from "zod";
import { LIMITS } from "../kernel/limits.ts";
import { Id, Name } from "../kernel/names.ts";
import { PROBLEM_CODES } from "../kernel/problems.ts";
import { RerunPlan, RerunRun } from "./reruns.ts";
import { CancelRun, RunStateName } from "./runs.ts";

const RunIds = z.array(Id).min(1).max(LIMITS.bulkRuns);
const how = RerunRun.pick({ fromFailure: true, sameVersion: true }).shape;

/** Why one of many was refused. */
const Refused = z.object({ code: z.enum(PROBLEM_CODES), detail: z.string() });

/** Asks that several runs end. */
export const CancelRuns = z.strictObject({ runIds: RunIds, ...CancelRun.shape });
export type CancelRuns = z.input<typeof CancelRuns>;

/** What became of each run that was to be cancelled, in their order. */
export const CancelOutcomes = z.object({
  items: z.array(
    z.object({
      runId: Id,
      state: RunStateName.nullable().describe("As it is now: not over before its worker has stopped it."),
      problem: Refused.nullable().describe("Why it was not asked to end; null if it was."),
    }),
  ),
});
export type CancelOutcomes = z.infer<typeof CancelOutcomes>;

/** Asks that the refs of what several runs have left be deleted. */
export const DeleteCheckpoints = z.strictObject({ runIds: RunIds });
export type DeleteCheckpoints = z.input<typeof DeleteCheckpoints>;

/** What became of each run whose checkpoints were to be deleted, in their order. */
export const DeletedCheckpoints = z.object({
  items: z.array(
    z.object({
      runId: Id,
      refs: z
        .int()
        .describe("How many refs of values were deleted; 0 where there were none, or it was refused."),
      problem: Refused.nullable().describe("Why they were not deleted; null if they were."),
    }),
  ),
});
export type DeletedCheckpoints = z.infer<typeof DeletedCheckpoints>;

/** Asks what rerunning several runs would do. */
export const PlanReruns = z.strictObject({ runIds: RunIds, ...how });
export type PlanReruns = z.input<typeof PlanReruns>;

/** What rerunning each of several runs would do, in their order. */
export const RerunPlans = z.object({
  items: z.array(
    z.object({
      runId: Id,
      plan: RerunPlan.pick({ versionBefore: true, version: true })
        .extend({
          deployment: Name,
          reuse: RerunPlan.shape.reuse.nullable(),
          run: RerunPlan.shape.run.nullable().describe("Null, as `reuse`: so many tasks were not looked at."),
        })
        .nullable(),
      problem: Refused.nullable().describe("Why it cannot be run again; null if it can."),
    }),
  ),
});
export type RerunPlans = z.infer<typeof RerunPlans>;

/** Asks for a new run of each of several runs that have ended. */
export const RerunRuns = z.strictObject({
  runs: z
    .array(z.object({ runId: Id, id: RerunRun.shape.id }))
    .min(1)
    .max(LIMITS.bulkRuns),
  ...how,
});
export type RerunRuns = z.input<typeof RerunRuns>;

/** What became of each run that was to be run again, in their order. */
export const RerunOutcomes = z.object({
  items: z.array(
    z.object({
      runId: Id,
      id: Id.nullable().describe(
        "The new run; the same when the request is repeated. Null if it was refused.",
      ),
      problem: Refused.nullable(),
    }),
  ),
});
export type RerunOutcomes = z.infer<typeof RerunOutcomes>;
