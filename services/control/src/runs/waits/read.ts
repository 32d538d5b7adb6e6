import type { Wait } from "@towpath/contract";
import type { Deps } from "../../kernel/index.ts";
import { listJobsOfRun } from "../jobs/store.ts";
import { existingRun } from "../read/read.ts";
import { listWaitRows } from "./store.ts";
import { waitOf } from "./wire.ts";

/** The most waits that one answer lists. */
const LISTED_MAX = 1_000;

/**
 * What a run waits for and has waited for, oldest first.
 * @throws Problem `run-not-found`.
 */
export async function listWaits(
  deps: Deps,
  scope: { readonly workspaceId: string },
  a: { runId: string },
): Promise<{ items: Wait[]; next: string | null }> {
  const name = { workspaceId: scope.workspaceId, runId: a.runId };
  await existingRun(deps.database.reads, name);
  const found = await listWaitRows(deps.database.reads, { ...name, limit: LISTED_MAX });
  const jobs = found.some((row) => row.kind === "job")
    ? await listJobsOfRun(deps.database.reads, { ...name, limit: LISTED_MAX })
    : [];
  const jobOf = new Map(jobs.map((row) => [row.id, row]));
  return { items: found.map((row) => waitOf(row, jobOf.get(row.id) ?? null)), next: null };
}
