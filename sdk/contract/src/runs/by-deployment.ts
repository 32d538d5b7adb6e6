import { z } from "zod";
import { Id, Instant, Name } from "../kernel/names.ts";
import { RunSummary } from "./runs.ts";

const NAMES_MAX = 200;
const EACH_MAX = 20;

/** Whose latest runs are asked for, and how many of each. */
export const LatestRunsQuery = z.object({
  deployments: z
    .string()
    .max(NAMES_MAX * 64)
    .transform((text) => text.split(","))
    .pipe(z.array(Name).max(NAMES_MAX))
    .describe(`Names with commas between them, at most ${NAMES_MAX}.`),
  each: z.coerce.number().int().min(1).max(EACH_MAX).default(10),
});

/** The latest runs of deployments, newest first, by the deployments' names. One that has not run is missing. */
export const LatestRuns = z.object({
  items: z.array(
    z.object({
      deployment: Name,
      usualMs: z
        .number()
        .nullable()
        .describe("How long its latest runs that completed took, as a median. Null: none has completed."),
      runs: z.array(
        RunSummary.pick({ id: true, state: true, createdAt: true, startedAt: true, endedAt: true }),
      ),
    }),
  ),
});
export type LatestRuns = z.infer<typeof LatestRuns>;

/** A run by which a worker has shown what it makes of a version. */
const VersionRun = z.object({
  runId: Id,
  worker: z.string().nullable().describe("Its name. Null: not known any more."),
  at: Instant,
});

/** What workers have made of a version's signature. They alone check it, each against its own keys. */
export const VersionTrust = z.object({
  started: VersionRun.nullable().describe(
    "The first run of it that a worker has started: one that requires signatures has verified it then. Null: none among the runs since it was registered that were looked at.",
  ),
  refused: VersionRun.extend({ reason: z.string() })
    .nullable()
    .describe("The latest of those that a worker has refused. Null: none."),
});
export type VersionTrust = z.infer<typeof VersionTrust>;
