import { deleteVersion, type SupersededVersion, selectSuperseded } from "../../deployments/index.ts";
import { type Deps, inTransaction, type PeriodicJob } from "../../kernel/index.ts";
import { isVersionNeeded } from "./retention.ts";

/** The most versions that one round looks at: each asks history of its deployment. */
const VERSIONS_BATCH = 50;

/**
 * Forgets versions of deployments that nothing needs any more: a newer one took their place longer ago than history is kept,
 * and no run that goes on, waits, or can still be run again is of them. The latest of each deployment always stays, which
 * is what schedules and new runs take.
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
