import { Instant, type RunWaitQuery, runWaitsMax, type Wait } from "@towpath/contract";
import { z } from "zod";
import { type Deps, pageOf, readCursor } from "../../kernel/index.ts";
import { existingRun } from "../history/find.ts";
import { findJobs } from "../jobs/tending-store.ts";
import { listWaitRows } from "../waits/store.ts";
import { waitOf } from "../waits/wire.ts";

/** A run, and the filters of its waits. Without filters: all waits, oldest first. */
type WaitsQuery = { readonly runId: string } & Partial<z.output<typeof RunWaitQuery>>;

/**
 * The waits of a run, open and settled, in the order of creation or in the reverse order. A wait that settles between two pages
 * is neither repeated nor left out.
 * @throws Problem `run-not-found`; `bad-request` for a cursor that no list gave out.
 */
export async function listWaits(
  deps: Pick<Deps, "database">,
  scope: { readonly workspaceId: string },
  args: WaitsQuery,
): Promise<{ items: Wait[]; next: string | null }> {
  const { workspaceId } = scope;
  const { reads } = deps.database;
  const { runId, limit = runWaitsMax, state, kind, order = "oldest" } = args;
  const after = readCursor(args.cursor, z.tuple([Instant, z.string()]));
  await existingRun(reads, { workspaceId, runId });
  const found = await listWaitRows(reads, {
    workspaceId,
    runId,
    limit: limit + 1,
    states: state ?? null,
    kinds: kind ?? null,
    order,
    after: after === null ? null : { createdAt: after[0], path: after[1] },
  });
  const jobIds = found.flatMap(({ kind, id }) => (kind === "job" ? [id] : []));
  const jobs = jobIds.length === 0 ? [] : await findJobs(reads, { workspaceId, jobIds });
  const jobOf = new Map(jobs.map((row) => [row.id, row]));
  return pageOf(found, {
    limit,
    item: (row) => waitOf(row, jobOf.get(row.id) ?? null),
    key: ({ createdAt, path }) => [createdAt.toISOString(), path],
  });
}
