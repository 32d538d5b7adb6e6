import { z } from "zod";
import { Instant } from "./names.ts";

/** A failure of the control plane with one object. It retries automatically, with growing pauses. */
export const Trouble = z.object({
  job: z.string().describe("The periodic job that failed."),
  message: z.string(),
  failures: z.int().describe("Failures in a row."),
  since: Instant,
  retryAt: Instant.describe("When the next try is due."),
});
export type Trouble = z.infer<typeof Trouble>;

/** Failures of the control plane with this object. A control plane of an earlier release does not report them. */
export const Troubles = z
  .array(Trouble)
  .optional()
  .describe("Failures of the control plane with this object. It retries automatically.");

/** The failure as text for people. */
export function troubleText({ message, failures, retryAt }: Trouble): string {
  const times = failures === 1 ? "once" : `${failures} times`;
  return `The control plane could not process this: ${message} It failed ${times}. The next try is at ${retryAt}.`;
}
