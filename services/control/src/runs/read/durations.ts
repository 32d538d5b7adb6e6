import type { RunState } from "@towpath/contract";
import { DURATIONS_MAX, type DurationsQuery, type RunDurations } from "@towpath/contract";
import type { z } from "zod";
import { sql } from "#sql";
import {
  type Deps,
  instantOf,
  instantOrNull,
  type Queryable,
  rowsPlannedAnew,
  type Scope,
} from "../../kernel/index.ts";
import { listed, type RunFilter } from "./list.ts";

/** A run's name, and when it was created, started and ended. */
interface RunSpan {
  readonly id: string;
  readonly deployment: string;
  readonly name: string | null;
  readonly state: RunState;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly workedMs: number | null;
  readonly workingSince: Date | null;
}

interface RawSpan {
  readonly id: string;
  readonly deployment: string;
  readonly name: string | null;
  readonly state: RunState;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly worked_ms: string | null;
  readonly working_since: string | null;
}

const SELECT = sql.raw(
  ["id", "deployment", "name", "state", "created_at", "started_at", "ended_at", "worked_ms", "working_since"]
    .map((column) => `r.${column}`)
    .join(", "),
);

/**
 * The newest runs of a list, without waiting runs: many of them would leave no room. Archived ones may never have
 * started, so it reads no further than its limit. Read by the indexes of lists, with nine columns of each run.
 */
async function selectSpans(from: Queryable, args: Omit<RunFilter, "order" | "after">): Promise<RunSpan[]> {
  const newest = { ...args, order: "newest", after: null } as const;
  const found = await listed(from, newest, { select: SELECT, live: sql`r.started_at is not null` });
  const raws = await rowsPlannedAnew<RawSpan>(
    from,
    sql`select r.* from ${found} order by r.created_at desc, r.id desc`,
  );
  return raws.map(spanOf);
}

function spanOf({ created_at, started_at, ended_at, worked_ms, working_since, ...rest }: RawSpan): RunSpan {
  return {
    ...rest,
    createdAt: instantOf(created_at),
    startedAt: instantOrNull(started_at),
    endedAt: instantOrNull(ended_at),
    workedMs: worked_ms === null ? null : Number(worked_ms),
    workingSince: instantOrNull(working_since),
  };
}

/**
 * How long the newest runs that match the filters took, or have taken so far. It reads the newest 2,000 runs that do not
 * wait, and returns those that have started.
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
    items: spans.flatMap(({ createdAt, startedAt, endedAt, workingSince, ...rest }) =>
      startedAt === null
        ? []
        : [
            {
              ...rest,
              createdAt: createdAt.toISOString(),
              startedAt: startedAt.toISOString(),
              endedAt: endedAt?.toISOString() ?? null,
              workingSince: workingSince?.toISOString() ?? null,
            },
          ],
    ),
    since: oldest?.createdAt.toISOString() ?? null,
  };
}
