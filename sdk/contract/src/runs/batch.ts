import { z } from "zod";
import { LIMITS } from "../kernel/limits.ts";
import { DeploymentName, Id } from "../kernel/names.ts";
import { CreateRun } from "./runs.ts";

/** Creates many runs of one deployment's latest version. */
export const CreateRuns = z.strictObject({
  deployment: DeploymentName,
  queue: CreateRun.shape.queue,
  runs: z
    .array(
      CreateRun.pick({
        id: true,
        parameters: true,
        scheduledAt: true,
        priority: true,
        tags: true,
        expireAfterMs: true,
      }),
    )
    .min(1)
    .max(LIMITS.batchRuns),
});
export type CreateRuns = z.input<typeof CreateRuns>;

/** The result of one request of a batch. */
export const CreatedRun = z.object({
  id: Id,
  outcome: z
    .enum(["created", "known", "refused"])
    .describe("`known`: the same request was made before, and its run exists."),
  problem: z
    .object({
      code: z.enum(["invalid-parameters", "payload-too-large", "run-id-conflict"]),
      detail: z.string(),
      faults: z.array(z.object({ path: z.string(), message: z.string(), suggestion: z.string().optional() })),
    })
    .nullable()
    .describe("Why it was refused, or null."),
});
export type CreatedRun = z.infer<typeof CreatedRun>;

/** The results of a batch, in order. */
export const CreatedRuns = z.object({ items: z.array(CreatedRun) });
export type CreatedRuns = z.infer<typeof CreatedRuns>;
