import { sql } from "drizzle-orm";
import type { Queryable } from "../../kernel/index.ts";
import { rows } from "./rows.ts";

/** A worker's name, which its attempts keep. Primary key of worker. */
export async function findWorkerName(
  from: Queryable,
  a: { workspaceId: string; workerId: string },
): Promise<string> {
  const [found] = await rows<{ name: string }>(
    from,
    sql`select name from worker where workspace_id = ${a.workspaceId} and id = ${a.workerId}`,
  );
  return found?.name ?? "unknown";
}
