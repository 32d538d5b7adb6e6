import { type BackoffLimits, doubledMs } from "@towpath/contract";
import type { Logger } from "pino";
import type { Clock } from "../host/index.ts";

/** The first pause of a version and the longest, milliseconds. The control plane offers a released attempt again after at most as long. */
const PAUSES: BackoffLimits = { firstMs: 1_000, mostMs: 60_000 };
/** The most versions whose refusals are remembered. The oldest are forgotten first. */
const VERSIONS_MAX = 1_000;

/** A version of a deployment, as the control plane names it. */
export interface RefusedVersion {
  readonly deployment: string;
  readonly version: number;
}

interface Row {
  inRow: number;
  pauses: number;
  untilMs: number;
  why: string;
}

/**
 * Protects a queue, and the worker's time, from runs that it refuses one after another. After several refusals of a version in a row, the
 * worker gives its runs back for a while, unlooked at, and then tries one. Other versions and deployments go on meanwhile.
 */
export class RefusalPauses {
  readonly #deps: { readonly clock: Clock; readonly log: Pick<Logger, "warn" | "info"> };
  readonly #inRowMax: number;
  readonly #rows = new Map<string, Row>();
  /** The deployments of which a run was refused since a run of any deployment started. */
  readonly #refused = new Set<string>();

  /** @param inRowMax So many refusals in a row start a pause. */
  constructor(
    deps: { readonly clock: Clock; readonly log: Pick<Logger, "warn" | "info"> },
    inRowMax: number,
  ) {
    this.#deps = deps;
    this.#inRowMax = inRowMax;
  }

  /** Why a run of this version is given back now. Null: it is looked at. */
  reason(version: RefusedVersion): string | null {
    const row = this.#rows.get(keyOf(version));
    const forMs = (row?.untilMs ?? 0) - this.#deps.clock.nowMs();
    if (row === undefined || forMs <= 0) return null;
    const { deployment } = version;
    return `This worker refused the last ${row.inRow} runs of version ${version.version} of "${deployment}", and takes no other one for ${Math.ceil(forMs / 1000)} s. The last refusal: ${row.why}`;
  }

  /**
   * Notes a refusal.
   * @returns whether it is the first one of its deployment since a run of any deployment started.
   */
  refused(version: RefusedVersion, why: string): boolean {
    const nowMs = this.#deps.clock.nowMs();
    const key = keyOf(version);
    const row = this.#rows.get(key) ?? { inRow: 0, pauses: 0, untilMs: 0, why };
    this.#rows.delete(key);
    this.#rows.set(key, row);
    const [oldest] = this.#rows.keys();
    if (this.#rows.size > VERSIONS_MAX && oldest !== undefined) this.#rows.delete(oldest);
    row.inRow += 1;
    row.why = why;
    // Those that were taken before a pause lengthen no pause.
    if (nowMs >= row.untilMs && (row.inRow >= this.#inRowMax || row.pauses > 0)) {
      const pauseMs = doubledMs(row.pauses, PAUSES);
      row.pauses += 1;
      row.untilMs = nowMs + pauseMs;
      this.#deps.log.warn(
        { ...version, refusals: row.inRow, pauseMs, why },
        "several runs of a version were refused; this worker gives its runs back for a while",
      );
    }
    const isFirst = !this.#refused.has(version.deployment);
    if (this.#refused.size < VERSIONS_MAX) this.#refused.add(version.deployment);
    return isFirst;
  }

  /** Notes that user code of a version runs. */
  started(version: RefusedVersion): void {
    this.#refused.clear();
    const row = this.#rows.get(keyOf(version));
    this.#rows.delete(keyOf(version));
    if (row !== undefined && row.pauses > 0)
      this.#deps.log.info({ ...version }, "a run of a version that was refused has started");
  }
}

function keyOf({ deployment, version }: RefusedVersion): string {
  return `${version} ${deployment}`;
}
