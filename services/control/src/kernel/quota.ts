import { Problem, QUOTAS, type QuotaName } from "@towpath/contract";
import type { PgTable } from "#sql";
import { type SQL, sql } from "#sql";
import type { Config } from "./config.ts";
import type { Tx } from "./database.ts";

/** The rows that count against a quota: those of a table in the workspace, all or some. */
export interface Counted {
  readonly quota: QuotaName;
  readonly workspaceId: string;
  readonly table: PgTable;
  /** The rows that count. @default all of the workspace */
  readonly where?: SQL;
}

/**
 * Checks a quota in the transaction that has just inserted a row. Insertions of one kind in one workspace wait for each
 * other from here to their commit, so that concurrent ones cannot exceed the quota together.
 * @throws Problem `quota-exceeded`; the caller's transaction is then rolled back.
 */
export async function keepQuota(
  tx: Tx,
  deps: { readonly config: Pick<Config, "quotas"> },
  args: Counted,
): Promise<void> {
  const { most: usual, of, next } = QUOTAS[args.quota];
  const replaced = deps.config.quotas.get(args.quota);
  const most = replaced === undefined ? usual : replaced;
  if (most === null) return;
  await tx.execute(
    sql`select pg_advisory_xact_lock(hashtextextended(${`quota ${args.quota} ${args.workspaceId}`}, 0))`,
  );
  const [row] = await tx.execute<{ count: number }>(sql`
    select count(*)::int as count from (
      select 1 from ${args.table} where workspace_id = ${args.workspaceId} and ${args.where ?? sql`true`} limit ${most + 1}
    ) as counted`);
  if ((row?.count ?? 0) <= most) return;
  throw new Problem(
    "quota-exceeded",
    `The workspace has reached its limit of ${of}: ${most} (quota "${args.quota}"). ${next} The operator can raise the quota with TOWPATH_QUOTAS.`,
  );
}
