import { OVERVIEW_STRETCHES, type Overview } from "@towpath/contract";
import type { Deps, Scope } from "../../kernel/index.ts";
import { countRuns } from "../store/overview.ts";

const HOUR_MS = 3_600_000;

/** How the workspace stands: what has not ended, and what has become of what was created in the last hours. */
export async function getOverview(deps: Deps, scope: Scope, a: { hours: number }): Promise<Overview> {
  const spanMs = a.hours * HOUR_MS;
  const stretchMs = spanMs / OVERVIEW_STRETCHES;
  const { at, counts } = await countRuns(deps.database.reads, deps.clock, {
    ...{ workspaceId: scope.workspaceId, spanMs, stretchMs },
  });
  return {
    at: at.toISOString(),
    stretchMs,
    live: counts.flatMap(({ from, state, runs }) => (from === null ? [{ state, runs }] : [])),
    activity: counts.flatMap(({ from, state, runs }) =>
      from === null ? [] : [{ from: from.toISOString(), state, runs }],
    ),
  };
}
