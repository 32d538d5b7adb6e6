import { z } from "zod";
import { Instant } from "./names.ts";

/** What the control plane could not do about something. It tries again by itself, after longer and longer pauses. */
export const Trouble = z.object({
  job: z.string().describe("The periodic job that failed on it."),
  message: z.string(),
  failures: z.int().describe("How often it has failed in a row."),
  since: Instant,
  retryAt: Instant.describe("When it is tried again."),
});
export type Trouble = z.infer<typeof Trouble>;

/** What the control plane could not do about this and tries again. A control plane of an earlier release does not say. */
export const Troubles = z
  .array(Trouble)
  .optional()
  .describe("What the control plane could not do about this. It tries again by itself.");

/** What went wrong, as one sentence for people. */
export function troubleText({ message, failures, retryAt }: Trouble): string {
  const times = failures === 1 ? "once" : `${failures} times`;
  return `The control plane could not go on with this: ${message} Failed ${times}; the next try is at ${retryAt}.`;
}
