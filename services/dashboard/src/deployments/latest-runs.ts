import { isFinalRunState, type LatestRuns } from "@towpath/contract";

/** The latest runs of a deployment, and how long they usually take. */
export type Latest = Omit<LatestRuns["items"][number], "deployment">;

/** One of the latest runs of a deployment. */
export type LatestRun = Latest["runs"][number];

/** What has come to its own end, the latest first: what somebody has cancelled tells nothing of how a deployment does. */
function endedOf(runs: readonly LatestRun[]): LatestRun[] {
  return runs
    .filter(({ state }) => isFinalRunState(state) && state !== "cancelled")
    .toSorted((a, b) => (b.endedAt ?? "").localeCompare(a.endedAt ?? ""));
}

/** The runs of a deployment that have failed since it last completed, the latest first. */
export function failingOf(runs: readonly LatestRun[]): LatestRun[] {
  const ended = endedOf(runs);
  const completed = ended.findIndex(({ state }) => state === "completed");
  return completed === -1 ? ended : ended.slice(0, completed);
}
