import { expiryOf, isFinalRunState, type WaitReason } from "@towpath/contract";
import { getVersion } from "../../deployments/index.ts";
import type { Queryable } from "../../kernel/index.ts";
import type { RunRow } from "../table.ts";

/** States in which a worker has verified the version already, or no worker will. */
const VERIFIED = ["claimed", "running", "cancelling"];

/** Why the version of a waiting run will not be started, or only for some time: its spec expires. */
export async function expiryReasons(
  from: Queryable,
  args: { row: RunRow; now: Date },
): Promise<WaitReason[]> {
  const { row, now } = args;
  if (VERIFIED.includes(row.state) || isFinalRunState(row.state)) return [];
  const { workspaceId, versionId } = row;
  const { spec } = await getVersion(from, { workspaceId, versionId });
  const expiry = expiryOf({ expiresAt: spec.expiresAt, since: spec.issuedAt }, now.getTime());
  if (expiry === null) return [];
  const what = `Version ${row.version} of "${row.deployment}"`;
  const text = expiry.isPast
    ? `${what} expired at ${spec.expiresAt}, so workers refuse it. Cancel the run, deploy again or run \`towpath deploy --renew\`, then \`towpath rerun ${row.id}\`.`
    : `${what} expires at ${spec.expiresAt}. Workers refuse the run after that, because it keeps its version.`;
  return [{ kind: "start", text, until: expiry.isPast ? null : spec.expiresAt, limit: null }];
}
