import type { Logger } from "pino";
import type { SQL } from "#sql";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Database, Tx } from "./database.ts";
import type { Incarnations } from "./incarnation.ts";
import type { Relay } from "./relay.ts";
import type { Wakes } from "./wakes.ts";

/** The dependencies of verbs, stores, routes and periodic jobs. None of them is module state. */
export interface Deps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly wakes: Wakes;
  /** Questions to workers, from any process to any worker. */
  readonly relay: Relay;
  readonly config: Config;
  /** Signs and verifies workers' session tokens: 32 bytes of this installation. */
  readonly sessionSecret: Uint8Array;
  /** The incarnation of the database and its position. */
  readonly incarnations: Incarnations;
}

/** How to retry a row that a periodic job could not handle. */
export interface Retried {
  /** The periodic job's name. */
  readonly name: string;
  /**
   * Handles one row if it still needs it.
   * @returns false if another process works on the row now, and nothing was done.
   */
  retry(tx: Tx, deps: Deps, row: { readonly workspaceId: string; readonly id: string }): Promise<boolean>;
}

/** A periodic job of the control plane. Any number of processes may run the same one at once. */
export interface PeriodicJob {
  readonly name: string;
  /** The longest pause between two rounds, milliseconds. Ignored if the job has `nextInMs`. */
  readonly everyMs: number | ((config: Config) => number);
  /**
   * Milliseconds until there is work, as an SQL expression that an index answers. Null if there is none. One statement
   * asks for all periodic jobs (see `keepDueTimers`).
   */
  nextInMs?(deps: Pick<Deps, "clock" | "config">): SQL;
  /** The shortest pause after a round, milliseconds. Work that arrives in the pause is done together. @default 0 */
  readonly restMs?: number;
  /** A topic of `Wakes` that ends the pause early. */
  readonly wakeOn?: "pool" | "run" | "change";
  /** The key of that topic. @default any */
  readonly wakeKey?: string;
  /** For a job that sets rows aside: how to retry one. */
  readonly retried?: Retried;
  /** Runs one bounded round. `worked: true` asks for another round at once. */
  runOnce(deps: Deps): Promise<{ worked: boolean }>;
}
