import { AWAITED, Id, Instant, type ListedWait, type WaitQuery } from "@towpath/contract";
import { z } from "zod";
import { type Deps, pageOf, readCursor, type Scope } from "../../kernel/index.ts";
import { findJobs } from "../jobs/tending-store.ts";
import type { JobRow } from "../table.ts";
import { type ListedWaitRow, listWorkspaceWaits } from "./list-store.ts";
import { waitOf } from "./wire.ts";

function listedWaitOf({ wait, run }: ListedWaitRow, job: JobRow | null): ListedWait {
  const { answer: _, ...shown } = waitOf({ ...wait, answer: null }, job);
  return { ...shown, deployment: wait.deployment, run };
}

/**
 * What the runs of a workspace wait for, or have waited for: open waits unless other states are asked for. Pages by
 * creation, so that those that are answered meanwhile make none repeat or go missing.
 * @throws Problem `bad-request` for a cursor that no list gave out.
 */
export async function listAllWaits(
  deps: Pick<Deps, "database">,
  scope: Pick<Scope, "workspaceId">,
  query: z.output<typeof WaitQuery>,
): Promise<{ items: ListedWait[]; next: string | null }> {
  const { kind, state, deployment, order, limit } = query;
  const after = readCursor(query.cursor, z.tuple([Instant, Id]));
  const found = await listWorkspaceWaits(deps.database.reads, {
    workspaceId: scope.workspaceId,
    deployment,
    order,
    limit: limit + 1,
    kinds: [...new Set(kind ?? AWAITED)],
    states: state,
    after: after === null ? null : { createdAt: after[0], id: after[1] },
  });
  const jobIds = found.flatMap(({ wait }) => (wait.kind === "job" ? [wait.id] : []));
  const { workspaceId } = scope;
  const jobs = jobIds.length === 0 ? [] : await findJobs(deps.database.reads, { workspaceId, jobIds });
  const jobOf = new Map(jobs.map((row) => [row.id, row]));
  return pageOf(found, {
    limit,
    item: (row) => listedWaitOf(row, jobOf.get(row.wait.id) ?? null),
    key: ({ wait }) => [wait.createdAt.toISOString(), wait.id],
  });
}
