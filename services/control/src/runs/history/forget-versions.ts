import { deleteVersion, type SupersededVersion, selectSuperseded } from "../../deployments/index.ts";
import { type Deps, inTransaction, type PeriodicJob } from "../../kernel/index.ts";
import { isVersionNeeded } from "./retention.ts";

/** The most versions that one round looks at: each one reads its deployment's history. */
const VERSIONS_BATCH = 50;

/**
 * Deletes versions of deployments that were replaced longer ago than the retention and that no live run, no run in
 * history and no open job uses. The latest version of each deployment always stays, since schedules and new runs use
 * it.
 */
export const forgetVersionsPeriodicJob: PeriodicJob = {
  name: "forget-versions",
  everyMs: 6 * 3_600_000,
  async runOnce(deps) {
    const { database, clock, config } = deps;
    const which = { agoMs: config.historyRetentionMs, limit: VERSIONS_BATCH };
    const old = await selectSuperseded(database.db, clock, which);
    let gone = 0;
    for (const version of old) if (await forget(deps, version)) gone += 1;
    return { worked: old.length === VERSIONS_BATCH && gone > 0 };
  },
};

async function forget(deps: Deps, version: SupersededVersion): Promise<boolean> {
  if (await isVersionNeeded(deps.database.db, version)) return false;
  await inTransaction(deps, (tx) => deleteVersion(tx, version));
  return true;
}
