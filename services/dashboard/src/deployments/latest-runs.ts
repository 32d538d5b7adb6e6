import { isFinalRunState, type LatestRuns } from "@towpath/contract";

/** The latest runs of a deployment, and their usual duration. */
export type Latest = Omit<LatestRuns["items"][number], "deployment">;

/** One of the latest runs of a deployment. */
export type LatestRun = Latest["runs"][number];

/** The runs that ended by themselves, the latest first. A cancelled run says nothing about its deployment. */
function endedOf(runs: readonly LatestRun[]): LatestRun[] {
  return runs
    .filter(({ state }) => isFinalRunState(state) && state !== "cancelled")
    .toSorted((a, b) => (b.endedAt ?? "").localeCompare(a.endedAt ?? ""));
}

/** The runs that have failed since the last completed run, the latest first. */
export function failingOf(runs: readonly LatestRun[]): LatestRun[] {
  const ended = endedOf(runs);
  const completed = ended.findIndex(({ state }) => state === "completed");
  return completed === -1 ? ended : ended.slice(0, completed);
}
