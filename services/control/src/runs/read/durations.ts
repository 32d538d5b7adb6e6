import { DURATIONS_MAX, type DurationsQuery, type RunDurations } from "@towpath/contract";
import type { z } from "zod";
import type { Deps, Scope } from "../../kernel/index.ts";
import { selectSpans } from "./durations-store.ts";

/**
 * How long the newest of the runs that filters find took, or have taken so far: those that have started among the newest 2,000
 * that do not wait.
 */
export async function listDurations(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  query: z.output<typeof DurationsQuery>,
): Promise<RunDurations> {
  const spans = await selectSpans(deps.database.reads, {
    ...query,
    workspaceId: scope.workspaceId,
    limit: DURATIONS_MAX,
  });
  const oldest = spans.length < DURATIONS_MAX ? undefined : spans.at(-1);
  return {
    items: spans.flatMap(({ createdAt, startedAt, endedAt, ...rest }) =>
      startedAt === null
        ? []
        : [
            {
              ...rest,
              createdAt: createdAt.toISOString(),
              startedAt: startedAt.toISOString(),
              endedAt: endedAt?.toISOString() ?? null,
            },
          ],
    ),
    since: oldest?.createdAt.toISOString() ?? null,
  };
}
