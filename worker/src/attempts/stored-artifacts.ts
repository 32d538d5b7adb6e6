import {
  type BulkRecord,
  deploymentNameOf,
  LIMITS,
  type LogLine,
  type RecordsAnswer,
} from "@towpath/contract";
import pLimit from "p-limit";
import { isLarge } from "../gateway/index.ts";
import type { WorkerKeyring } from "../sealing/index.ts";
import type { Unnumbered } from "../secrets/index.ts";
import { StoreUnwritable, writeStored } from "../store/stored-bodies.ts";
import type { StoredAttempt } from "./attempt-store.ts";
import type { AttemptDeps } from "./deps.ts";
import type { Prepared } from "./prepare.ts";
import type { FlowBatch } from "./spool.ts";

/** The largest body of an artifact that a flow may show here, bytes. */
export function artifactBytesOf({
  keyring,
  passesStored,
}: Pick<AttemptDeps, "keyring" | "passesStored">): number {
  return keyring !== null && passesStored() ? LIMITS.storedBytes : LIMITS.artifactBytes;
}

type Artifact = Extract<Unnumbered<BulkRecord>, { type: "artifact" }>;

/** Bodies of one batch that are written at once. */
const WRITES_AT_ONCE = 4;

/** The bulk records of a batch, with large bodies in the store. */
interface Placed {
  readonly bulk: FlowBatch["bulk"];
  readonly rejected: RecordsAnswer["rejected"];
}

/** Puts the bodies of one attempt's large artifacts into its store. */
export class StoredArtifacts {
  readonly #keyring: WorkerKeyring | null;
  readonly #of: { readonly stored: StoredAttempt; readonly prepared: Prepared };

  constructor(keyring: WorkerKeyring | null, of: { stored: StoredAttempt; prepared: Prepared }) {
    this.#keyring = keyring;
    this.#of = of;
  }

  /** Whether this worker can store bodies: it must be able to seal them. */
  get isPossible(): boolean {
    return this.#keyring !== null;
  }

  /**
   * Stores large bodies before their records are journaled, and replaces each by its address. An artifact that the store does not take
   * is not shown, and the log says so. A body whose record is then not journaled is removed with the run's other values.
   * @param args.after The records up to this one are in the journal already.
   */
  async place(bulk: FlowBatch["bulk"], { after }: { after: number }): Promise<Placed> {
    const rejected: RecordsAnswer["rejected"] = [];
    const limit = pLimit(WRITES_AT_ONCE);
    const placed = bulk.map(async (one) => {
      const { item, seq } = one;
      if (seq <= after || !("type" in item) || item.type !== "artifact" || !isLarge(item.body)) return one;
      try {
        return { ...one, item: await limit(() => this.#store(item)) };
      } catch (error) {
        if (!(error instanceof StoreUnwritable)) throw error;
        rejected.push({ seq, detail: error.message });
        return { ...one, item: notShown(item, error.message) };
      }
    });
    return { bulk: await Promise.all(placed), rejected };
  }

  async #store(artifact: Artifact): Promise<Artifact> {
    const { body } = artifact;
    if (this.#keyring === null || body.kind === "stored" || body.kind === "sealed") return artifact;
    const { stored, prepared } = this.#of;
    const { workspaceId: workspace, spec } = prepared;
    const run = { workspace, deployment: deploymentNameOf(spec), runId: stored.assignment.runId };
    const target = { keyring: this.#keyring, store: prepared.store, run };
    const address = await writeStored(target, "artifact", JSON.stringify(body));
    return { ...artifact, body: { kind: "stored", of: body.kind, ...address } };
  }
}

function notShown({ key, at }: Artifact, why: string): LogLine {
  const text = `The artifact "${key}" is not shown, because its body is too large to leave and cannot be stored. ${why}`;
  return { at, level: "warn", stream: "worker", text };
}
