import { z } from "zod";
import { Id } from "./names.ts";

/**
 * What every answer to a worker says about the database. Missing in answers of an earlier release.
 */
export const answeredBy = {
  incarnation: Id.optional().describe(
    "The database's incarnation. It changes when the database is restored, fails over or restarts. Then send again what was acknowledged in the last hour.",
  ),
  position: z
    .int()
    .min(0)
    .optional()
    .describe(
      "The database's position, at most a second old. It only rises. A position that is lower than some seconds ago means the same as a new incarnation.",
    ),
} as const;
