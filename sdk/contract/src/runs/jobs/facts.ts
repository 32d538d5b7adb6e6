import { z } from "zod";
import { LIMITS } from "../../kernel/limits.ts";
import { Instant, Name } from "../../kernel/names.ts";
import { JOB_STATES } from "../states.ts";

/** How an external job stands, as people see it. Its handle never leaves the customer's store. */
export const JobFacts = z.object({
  name: Name,
  state: z.enum(JOB_STATES),
  says: z.string().max(LIMITS.jobSaysChars).nullable().describe("What its backend last said of it."),
  polledAt: Instant.nullable().describe("When it was last asked."),
  stumble: z.string().nullable().describe("Why asking or cancelling it failed, while that is so."),
  submittedAt: Instant.nullable().describe("When its handle was recorded."),
});
export type JobFacts = z.infer<typeof JobFacts>;
