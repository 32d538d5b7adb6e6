import { LIMITS, type WaitReason } from "@towpath/contract";
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

/** The text about an external job that a run waits for. */
export function jobText(row: JobRow, now: Date): string {
  const { name, state, polledAt, says, pollEveryMs } = row;
  if (state === "intended") {
    return `It waits for job ${name}, which is not known to be submitted yet. The run's next attempt looks for it.`;
  }
  const stumble = stumbleText(row);
  if (pollEveryMs === null)
    return `It waits for job ${name}, whose backend calls back when it has ended.${stumble}`;
  if (polledAt === null) return `It waits for job ${name}, which a worker of its pool will poll.${stumble}`;
  return `It waits for job ${name}, last polled ${ago(polledAt, now)}: ${says}.${stumble}`;
}

function stumbleText({ stumble }: JobRow): string {
  return stumble === null ? "" : ` Polling it failed: ${stumble.replace(/[.;]$/, "")}.`;
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
      const stumble =
        row.stumble === null ? "" : ` This has failed so far: ${row.stumble.replace(/[.;]$/, "")}.`;
      const text = `A worker of its pool must cancel its job ${row.name}.${stumble} If this has not happened by ${until}, the job is left alone and the run ends.`;
      return { kind: "job", text, until, limit: null };
    });
}
