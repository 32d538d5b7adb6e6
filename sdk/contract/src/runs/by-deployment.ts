import { z } from "zod";
import { DEPLOYMENT_NAME_CHARS, DeploymentName, Id, Instant } from "../kernel/names.ts";
import { RunSummary } from "./runs.ts";

const NAMES_MAX = 200;
const EACH_MAX = 20;

/** The deployments, and how many latest runs of each. */
export const LatestRunsQuery = z.object({
  deployments: z
    .string()
    .max(NAMES_MAX * (DEPLOYMENT_NAME_CHARS + 1))
    .transform((text) => text.split(","))
    .pipe(z.array(DeploymentName).max(NAMES_MAX))
    .describe(`Names separated by commas, at most ${NAMES_MAX}.`),
  each: z.coerce.number().int().min(1).max(EACH_MAX).default(10),
});

/** The latest runs of each deployment, newest first. A deployment without runs is missing. */
export const LatestRuns = z.object({
  items: z.array(
    z.object({
      deployment: DeploymentName,
      usualMs: z
        .number()
        .nullable()
        .describe(
          "The median working time of its latest completed runs: the sum of their attempts, without the time between attempts. Null: no run has completed.",
        ),
      runs: z.array(
        RunSummary.pick({
          id: true,
          state: true,
          createdAt: true,
          startedAt: true,
          endedAt: true,
          workedMs: true,
          workingSince: true,
        }),
      ),
    }),
  ),
});
export type LatestRuns = z.infer<typeof LatestRuns>;

/** A run that shows whether a worker accepts a version. */
const VersionRun = z.object({
  runId: Id,
  worker: z.string().nullable().describe("The worker's name. Null: not known any more."),
  at: Instant,
});

/** Whether workers accepted a version's signature. Only workers check it, each with its own keys. */
export const VersionTrust = z.object({
  started: VersionRun.nullable().describe(
    "The first run of it that a worker has started: one that requires signatures has verified it then. Null: none among the runs since it was registered that were looked at.",
  ),
  refused: VersionRun.extend({ reason: z.string() })
    .nullable()
    .describe("The latest run that a worker refused. Null: none."),
});
export type VersionTrust = z.infer<typeof VersionTrust>;

/** The oldest version that runs of a deployment still need. */
export const PinnedVersions = z.object({
  oldest: z.int().nullable().describe("The oldest version of a run that has not ended. Null: there is none."),
  runs: z.int().describe("The number of runs that have not ended."),
  runId: Id.nullable().describe("A run of the oldest version."),
});
export type PinnedVersions = z.infer<typeof PinnedVersions>;
