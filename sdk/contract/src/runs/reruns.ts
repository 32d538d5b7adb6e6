import { z } from "zod";
import { Id, JsonObject, Name } from "../kernel/names.ts";

/** Asks for a new run of what a run that has ended was asked for. */
export const RerunRun = z.strictObject({
  id: Id.describe("A UUIDv7 of the new run, chosen by the caller: repeating the request is the same run."),
  fromFailure: z
    .boolean()
    .default(false)
    .describe("Takes over what was completed and still holds; else everything runs again."),
  sameVersion: z.boolean().default(false).describe("Runs the version that ran then; else the latest."),
  parameters: JsonObject.optional().describe("Instead of those of the run that is run again."),
});
export type RerunRun = z.input<typeof RerunRun>;

const Flag = z.enum(["true", "false"]).default("false");

/** What a plan is for. */
export const RerunPlanQuery = z.object({ fromFailure: Flag, sameVersion: Flag });

/** The most tasks that a plan lists. */
export const planTasksMax = 1_000;

/** What a rerun would take over and what it would run, as far as that is known before it runs. */
export const RerunPlan = z.object({
  deployment: Name,
  versionBefore: z.int(),
  version: z.int(),
  reuse: z
    .int()
    .describe("Task calls whose results, or errors that the flow dealt with, would be taken over."),
  run: z.int().describe("Task calls that would run: those here, and whatever takes another input from them."),
  reasons: z
    .array(z.object({ reason: z.string(), tasks: z.int() }))
    .describe("Why calls would run, the commonest first."),
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
          .describe("Of a reused call: it failed, the flow dealt with that, and its error is thrown again."),
      }),
    )
    .describe(
      `In order of appearance, the first ${planTasksMax}. All of them, \`reuse\` and \`run\` together, may be more.`,
    ),
});
export type RerunPlan = z.infer<typeof RerunPlan>;
