import type { CreateBackfill } from "@towpath/contract";
import type { Deps, Scope } from "../../kernel/index.ts";
import { scheduleNamed } from "../schedules.ts";
import * as store from "./store.ts";

/** The most runs that one statement reads, and the most statements: 20 million runs. */
const PAGE = { runs: 20_000, most: 1_000 } as const;

/**
 * The runs in the range of a backfill that reruns have done, for `missing-or-failed`. A busy deployment has very many
 * runs since the oldest of the range. So it is read before the transaction, whose lock would delay the schedule
 * meanwhile, and in pages. A rerun that completes in between counts as one that completes after the request.
 * @throws Problem `schedule-not-found`.
 */
export async function findRerun(
  deps: Pick<Deps, "database">,
  args: { scope: Scope; deployment: string; request: CreateBackfill },
): Promise<string[]> {
  const { deployment, request } = args;
  if (request.only !== "missing-or-failed") return [];
  const { workspaceId } = args.scope;
  const { schedule } = request;
  const from = deps.database.reads;
  const { id: scheduleId } = await scheduleNamed(from, { workspaceId, deployment, name: schedule });
  const range = { from: new Date(request.from), to: new Date(request.to) };
  const { ids, since } = await store.selectRange(from, {
    ...range,
    workspaceId,
    deployment,
    schedule,
    scheduleId,
  });
  if (since === null) return [];
  const query = { workspaceId, deployment, since };
  const done = new Set(await store.selectLiveReruns(from, query));
  let before: store.RerunPage["next"] = null;
  for (let page = 0; page < PAGE.most; page++) {
    const found: store.RerunPage = await store.selectPastReruns(from, { ...query, before, limit: PAGE.runs });
    for (const id of found.ids) done.add(id);
    before = found.next;
    if (before === null) break;
  }
  return ids.filter((id) => done.has(id));
}
