import { z } from "zod";
import { Id } from "./names.ts";

/**
 * What every answer to a worker says of the database behind it. Missing: a control plane of an earlier release has answered.
 */
export const answeredBy = {
  incarnation: Id.optional().describe(
    "The database that has answered. Changes when it was restored, failed over or restarted: offer again what was acknowledged in the last hour.",
  ),
  position: z
    .int()
    .min(0)
    .optional()
    .describe(
      "How far that database has come. It is at most a second old, and rises: one that is lower than in an answer of some seconds ago means the same as another incarnation.",
    ),
} as const;
