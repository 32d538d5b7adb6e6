import { type SQL, sql } from "#sql";
import { isLimited, isTagLimited } from "../../limits/index.ts";

/** Which run, in statements over a row `r` of run. */
export const runColumns = { workspaceId: sql`r.workspace_id`, id: sql`r.id` } as const;

/** The deployment of a run that is one task of another run. Its deployment's limits do not apply to it. */
export const NO_DEPLOYMENT = "00000000-0000-0000-0000-000000000000";

/** The deployment whose limits apply to a run, as SQL over a row `r` of run. */
export const limitedAs = {
  deploymentId: sql.raw(`case when r.task is null then r.deployment_id else '${NO_DEPLOYMENT}'::uuid end`),
  deployment: sql.raw("case when r.task is null then r.deployment else '' end"),
} as const;

/** Whether any limit applies to a run, as SQL over a row `r` of run. */
export const runIsLimited: SQL = sql`(${isLimited({
  workspaceId: sql`r.workspace_id`,
  ...limitedAs,
  pool: sql`r.pool`,
  queue: sql`r.queue`,
})} or ${isTagLimited({ workspaceId: sql`r.workspace_id`, tags: sql`r.tags` })})`;

/** How much a queue's priority outweighs those of its runs, which are from -100 to 100. */
const QUEUE_WEIGHT = 1_000;

/** A run's priority among all of its pool, as SQL over a row `r` of run: its queue's priority first, then its own. */
export const effectivePriority =
  sql.raw(`(r.priority + ${QUEUE_WEIGHT} * coalesce((select q.priority from queue q
  where q.pool_id = r.pool_id and q.name = r.queue), 0))`);
