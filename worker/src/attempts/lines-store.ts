import { writeStored } from "../store/stored-bodies.ts";
import type { StoredAttempt } from "./attempt-store.ts";
import type { AttemptDeps } from "./deps.ts";
import { bodyStore } from "./store-access.ts";
import { CannotStore, type LinesStore } from "./stored-lines.ts";

/** The claim whose lines are stored. */
interface LinesOwner {
  readonly name: string;
  /** Null: it is only reported again. */
  readonly assignment: Pick<StoredAttempt["assignment"], "deployment" | "runId"> | null;
  readonly stored: Pick<StoredAttempt, "spec" | "workspaceId"> | null;
  /** The store that its verified spec names; null: the default one. Undefined before the verification. */
  readonly specStore: string | null | undefined;
}

/** How the texts of one claim's log lines come into the store of its run. */
export function linesStoreOf(deps: AttemptDeps, claimed: LinesOwner): LinesStore {
  const { bootClock, config, connection, keyring, log, sleep, wake } = deps;
  return {
    isOn: config.logs === "stored",
    bootClock,
    sleep,
    ready: wake.report,
    failed: (error, lost) =>
      log[lost ? "error" : "warn"](
        { attempt: claimed.name, error: String(error) },
        lost
          ? "log lines could not be written to the store; they are lost, and the run's log shows a gap"
          : "log lines cannot be written to the store now; the worker tries again",
      ),
    async place() {
      const { assignment, stored } = claimed;
      if (assignment === null) return null;
      const store = stored === null ? claimed.specStore : stored.spec.store;
      if (store === undefined) throw new Error("The spec is not verified yet.");
      const workspace = stored?.workspaceId ?? (await connection.session()).workspaceId;
      const { deployment, runId } = assignment;
      return { workspace, deployment, runId, store };
    },
    async write(place, texts) {
      if (keyring === null)
        throw new CannotStore("The worker no longer has a workspace key to seal these lines with.");
      const store = await bodyStore(config, place.store);
      const { workspace, deployment, runId } = place;
      const target = { keyring, store, run: { workspace, deployment, runId } };
      return await writeStored(target, "log", JSON.stringify(texts));
    },
  };
}
