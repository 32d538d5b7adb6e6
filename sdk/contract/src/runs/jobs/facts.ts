import { z } from "zod";
import { LIMITS } from "../../kernel/limits.ts";
import { Instant, Name } from "../../kernel/names.ts";
import { sealable, sealableText } from "../../sealing/fields.ts";
import { JOB_STATES } from "../states.ts";

/** The state of an external job. Its handle never leaves the customer's store. */
export const JobFacts = z.object({
  name: Name,
  state: z.enum(JOB_STATES),
  says: sealableText("job", { max: LIMITS.jobSaysChars })
    .nullable()
    .describe("The backend's latest status text."),
  polledAt: Instant.nullable().describe("When it was last polled."),
  stumble: sealable("job", z.string()).nullable().describe("Why polling or cancelling it fails at present."),
  submittedAt: Instant.nullable().describe("When its handle was recorded."),
});
export type JobFacts = z.infer<typeof JobFacts>;
