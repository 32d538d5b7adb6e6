import { FINAL_ATTEMPT_STATES, sumOf } from "@towpath/contract";
import { and, eq, inArray, notInArray, sql } from "drizzle-orm";
import type { LoadReader } from "./pools/index.ts";
import { readNeeds } from "./runs/index.ts";
import { attempt } from "./runs/table.ts";

/** What no worker holds, or no longer: waiting, and over. */
const NOT_HELD = ["ready", ...FINAL_ATTEMPT_STATES] as const;

/**
 * Reads how busy pools and workers are from the attempts, which belong to a slice to the right of pools: this is why the
 * reader stands here, where slices are composed. Only live attempts are looked at.
 */
export const poolLoad: LoadReader = {
  async ofPools(from, a) {
    if (a.poolIds.length === 0) return new Map();
    const rows = await from
      .select({
        poolId: attempt.poolId,
        ready: sql<number>`(count(*) filter (where ${attempt.state} = 'ready'))::int`,
        running: sql<number>`(count(*) filter (where ${attempt.state} <> 'ready'))::int`,
      })
      .from(attempt)
      .where(
        and(
          eq(attempt.workspaceId, a.workspaceId),
          inArray(attempt.poolId, [...a.poolIds]),
          notInArray(attempt.state, [...FINAL_ATTEMPT_STATES]),
        ),
      )
      .groupBy(attempt.poolId);
    return new Map(rows.map(({ poolId, ready, running }) => [poolId, { ready, running }]));
  },

  async ofWorkers(from, a) {
    if (a.workerIds.length === 0) return new Map();
    const rows = await from
      .select({
        workerId: attempt.workerId,
        held: sql<number>`count(*)::int`,
        needs: sql<
          string[]
        >`coalesce(json_agg(${attempt.needs}) filter (where ${attempt.needs} <> ''), '[]')`,
      })
      .from(attempt)
      .where(
        and(
          eq(attempt.workspaceId, a.workspaceId),
          inArray(attempt.workerId, [...a.workerIds]),
          notInArray(attempt.state, [...NOT_HELD]),
        ),
      )
      .groupBy(attempt.workerId);
    return new Map(
      rows.flatMap(({ workerId, held, needs }) =>
        workerId === null ? [] : [[workerId, { held, taken: sumOf(needs.map(readNeeds)) }]],
      ),
    );
  },
};
