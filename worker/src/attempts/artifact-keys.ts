import { type BulkRecord, LIMITS, type LogLine } from "@towpath/contract";
import type { Unnumbered } from "../secrets/index.ts";

type ShownArtifact = Extract<Unnumbered<BulkRecord>, { type: "artifact" }>;

/** What becomes of an artifact that is one too many: the flow is told each time, its log once. */
export interface Refused {
  readonly detail: string;
  readonly line: LogLine | null;
}

/**
 * Counts the artifacts that one attempt shows, by key. After a restart of the worker the count begins anew, and the
 * control plane, which counts too, refuses what is over.
 */
export class ArtifactKeys {
  readonly #keys = new Set<string>();
  readonly #max: number;
  /** The flow's number of the first one too many: if the flow has to send it again, the line goes with it again. */
  #toldAt: number | null = null;

  constructor(max: number = LIMITS.artifactKeys) {
    this.#max = max;
  }

  /** @param args.seq the flow's number of the record. @returns null if there is room for it. */
  refuse(artifact: ShownArtifact, args: { seq: number }): Refused | null {
    if (this.#keys.has(artifact.key)) return null;
    if (this.#keys.size < this.#max) {
      this.#keys.add(artifact.key);
      return null;
    }
    const detail = `An attempt shows at most ${this.#max} artifacts; use a key again, or show the rest in a table.`;
    this.#toldAt ??= args.seq;
    if (this.#toldAt !== args.seq) return { detail, line: null };
    const text = `The artifact "${artifact.key}" and further new ones are not shown. ${detail}`;
    return { detail, line: { at: artifact.at, level: "warn", stream: "worker", text } };
  }
}
