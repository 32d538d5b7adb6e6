import type { ComputeNeeds } from "@towpath/contract";
import type { Logger } from "pino";
import type { CodeCache } from "../code/index.ts";
import type { Taken } from "../compute/index.ts";
import type { WorkerConfig } from "../config.ts";
import type { EnvironmentDeps } from "../environments/index.ts";
import type { Clock, Sleep } from "../host/index.ts";
import type { Reserve } from "../journal/index.ts";
import type { OomWatch, RunnerPool } from "../launch/index.ts";
import type { Connection } from "../protocol/index.ts";
import type { WorkerKeyring } from "../sealing/index.ts";
import type { LiveSecrets } from "../secrets/index.ts";
import type { Keyrings } from "../store/keyrings.ts";
import type { Trust } from "../trust/index.ts";
import type { Walls } from "../walls/index.ts";
import type { Breaker } from "./breaker.ts";
import type { StatePaths } from "./paths.ts";
import type { Preallocation } from "./preallocation.ts";
import type { RefusalPauses } from "./refusal-pauses.ts";

/** Wakes the loops of the protocol. */
export interface Wake {
  readonly claim: () => void;
  readonly report: () => void;
  /** For external jobs. */
  readonly tend: () => void;
}

/** An attempt and the amounts that it has. */
export interface Holder {
  readonly name: string;
  taken: Taken | null;
}

/** What the functions of this folder need. */
export interface AttemptDeps {
  readonly log: Logger;
  /** Wall clock, for people and for a spec's expiry. */
  readonly clock: Clock;
  /** For leases and time limits. */
  readonly bootClock: Clock;
  readonly sleep: Sleep;
  readonly config: Pick<
    WorkerConfig,
    "environment" | "registries" | "store" | "stores" | "journal" | "url" | "python" | "sealedOnly" | "logs"
  >;
  readonly secrets: LiveSecrets;
  readonly keyrings: Keyrings;
  /** The keys of a sealed workspace. Null: nothing is sealed here. */
  readonly keyring: WorkerKeyring | null;
  /** Whether the control plane passes stored bodies to readers. An earlier release refuses artifacts with such a body. */
  readonly passesStored: () => boolean;
  readonly trust: Trust;
  readonly cache: CodeCache;
  readonly environments: EnvironmentDeps;
  readonly runners: RunnerPool;
  readonly walls: Walls;
  readonly oom: OomWatch;
  readonly reserve: Reserve;
  readonly paths: StatePaths;
  readonly preallocation: Preallocation;
  readonly connection: Connection;
  readonly wake: Wake;
  readonly breaker: Breaker;
  readonly refusals: RefusalPauses;
  /**
   * Called when an attempt takes or frees a slot, or makes progress. The worker may then offer more, and waiting
   * functions look again.
   */
  readonly changed: () => void;
  /** Gives an attempt the amounts of its signed spec, for as long as it may have a process. @throws DoesNotFit */
  readonly allot: (claimed: Holder, compute: ComputeNeeds) => void;
}

/** An instant on the wire, by the worker's clock. */
export function instant(clock: Clock): string {
  return new Date(clock.nowMs()).toISOString();
}
