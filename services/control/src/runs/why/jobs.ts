import { isSealed, LIMITS, type WaitReason } from "@towpath/contract";
import type { Queryable } from "../../kernel/index.ts";
import { listJobsOfRun } from "../jobs/store.ts";
import type { JobRow } from "../table.ts";

const UNITS = [
  { ms: 86_400_000, letter: "d" },
  { ms: 3_600_000, letter: "h" },
  { ms: 60_000, letter: "min" },
  { ms: 1_000, letter: "s" },
] as const;

function ago(then: Date, now: Date): string {
  const ms = Math.max(0, now.getTime() - then.getTime());
  const unit = UNITS.find((one) => ms >= one.ms) ?? UNITS[3];
  return `${Math.floor(ms / unit.ms)} ${unit.letter} ago`;
}

/** The texts of a job that only readers with a workspace key can read. They are no part of a sentence. */
function sealedParts({ says, stumble }: JobRow): Pick<WaitReason, "status" | "failure"> {
  return {
    ...(says !== null && isSealed(says) && { status: says }),
    ...(stumble !== null && isSealed(stumble) && { failure: stumble }),
  };
}

/** What an external job that a run waits for does. */
export function jobReason(row: JobRow, now: Date): Pick<WaitReason, "text" | "status" | "failure"> {
  return { text: jobText(row, now), ...sealedParts(row) };
}

function jobText(row: JobRow, now: Date): string {
  const { name, state, polledAt, says, pollEveryMs } = row;
  if (state === "intended") {
    return `It waits for job ${name}, which is not known to be submitted yet. The run's next attempt looks for it.`;
  }
  const stumble = stumbleText(row);
  if (pollEveryMs === null)
    return `It waits for job ${name}, whose backend calls back when it has ended.${stumble}`;
  if (polledAt === null) return `It waits for job ${name}, which a worker of its pool will poll.${stumble}`;
  const status = isSealed(says) ? "" : `: ${says}`;
  return `It waits for job ${name}, last polled ${ago(polledAt, now)}${status}.${stumble}`;
}

function stumbleText({ stumble }: JobRow): string {
  if (stumble === null) return "";
  return isSealed(stumble) ? " Polling it failed." : ` Polling it failed: ${stumble.replace(/[.;]$/, "")}.`;
}

/** The jobs that must be cancelled before a cancelled run without a process can end. */
export async function cancellingReasons(
  from: Queryable,
  args: { workspaceId: string; runId: string },
): Promise<WaitReason[]> {
  const jobs = await listJobsOfRun(from, { ...args, limit: LIMITS.waits });
  return jobs
    .filter((row) => row.state === "cancelling")
    .map((row) => {
      const until = row.cancelUntil?.toISOString() ?? null;
      const why = isSealed(row.stumble) ? "" : `: ${row.stumble?.replace(/[.;]$/, "")}`;
      const stumble = row.stumble === null ? "" : ` This has failed so far${why}.`;
      const text = `A worker of its pool must cancel its job ${row.name}.${stumble} If this has not happened by ${until}, the job is left alone and the run ends.`;
      return { kind: "job", text, until, limit: null, ...sealedParts(row) };
    });
}
