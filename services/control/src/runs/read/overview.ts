import { OVERVIEW_STRETCHES, type Overview } from "@towpath/contract";
import type { Deps, Scope } from "../../kernel/index.ts";
import { readRestoreNotice } from "../lease/restore-notice.ts";
import { countRuns } from "./overview-store.ts";

const HOUR_MS = 3_600_000;

/** How the workspace stands: what has not ended, and what has become of what was created in the last hours. */
export async function getOverview(deps: Deps, scope: Scope, args: { hours: number }): Promise<Overview> {
  const spanMs = args.hours * HOUR_MS;
  const stretchMs = spanMs / OVERVIEW_STRETCHES;
  const { workspaceId } = scope;
  const [{ at, counts }, restored] = await Promise.all([
    countRuns(deps.database.reads, deps.clock, { workspaceId, spanMs, stretchMs }),
    readRestoreNotice(deps.database.reads, deps.clock, { workspaceId }),
  ]);
  return {
    at: at.toISOString(),
    restored,
    stretchMs,
    live: counts.flatMap(({ from, state, runs }) => (from === null ? [{ state, runs }] : [])),
    activity: counts.flatMap(({ from, state, runs }) =>
      from === null ? [] : [{ from: from.toISOString(), state, runs }],
    ),
  };
}
