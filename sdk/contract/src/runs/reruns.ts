import { z } from "zod";
import { DeploymentName, Id, JsonObject } from "../kernel/names.ts";
import { sealable } from "../sealing/fields.ts";

/** Reruns a run that has ended. */
export const RerunRun = z.strictObject({
  id: Id.describe(
    "The new run's id, a UUIDv7 that the caller chooses. A repeated request creates no second run.",
  ),
  fromFailure: z
    .boolean()
    .default(false)
    .describe("True: reuses completed tasks that are still valid. False: runs everything again."),
  sameVersion: z
    .boolean()
    .default(false)
    .describe("True: uses the version of the earlier run. False: uses the latest version."),
  parameters: sealable("parameters", JsonObject)
    .optional()
    .describe("Replace the parameters of the earlier run."),
});
export type RerunRun = z.input<typeof RerunRun>;

const Flag = z.enum(["true", "false"]).default("false");

/** The kind of rerun to plan. */
export const RerunPlanQuery = z.object({ fromFailure: Flag, sameVersion: Flag });

/** The most tasks that a plan lists. */
export const planTasksMax = 1_000;

/** What a rerun would reuse and what it would run, as far as that is known in advance. */
export const RerunPlan = z.object({
  deployment: DeploymentName,
  versionBefore: z.int(),
  version: z.int(),
  reuse: z.int().describe("Task calls whose results, or handled errors, would be reused."),
  run: z.int().describe("Task calls that would run. Calls whose input changes because of them run, too."),
  reasons: z
    .array(z.object({ reason: z.string(), tasks: z.int() }))
    .describe("Why calls would run, the most frequent reason first."),
  tasks: z
    .array(
      z.object({
        path: z.string(),
        name: z.string(),
        action: z.enum(["reuse", "run"]),
        reason: z.string().nullable(),
        failed: z
          .literal(true)
          .optional()
          .describe(
            "Of a reused call: it failed, the flow handled its error, and the error is thrown again.",
          ),
      }),
    )
    .describe(`In order of appearance, the first ${planTasksMax}. \`reuse\` and \`run\` count all.`),
});
export type RerunPlan = z.infer<typeof RerunPlan>;
