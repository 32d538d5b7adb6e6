import type { Logger } from "pino";
import type { SQL } from "#sql";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Database, Tx } from "./database.ts";
import type { Incarnations } from "./incarnation.ts";
import type { Wakes } from "./wakes.ts";

/** What verbs, stores, routes and periodic jobs are given. Nothing of this is module state. */
export interface Deps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly wakes: Wakes;
  readonly config: Config;
  /** Signs and checks workers' session tokens: 32 bytes of this installation's own. */
  readonly sessionSecret: Uint8Array;
  /** Which database answers, and how far it has come. */
  readonly incarnations: Incarnations;
}

/** How a row is tried again that a periodic job could not handle. */
export interface Retried {
  /** The periodic job's name. */
  readonly name: string;
  /**
   * Does the work of one row, if there still is some.
   * @returns false if somebody else works on the row at this moment: nothing was done.
   */
  retry(tx: Tx, deps: Deps, row: { readonly workspaceId: string; readonly id: string }): Promise<boolean>;
}

/** One timed periodic job of the control plane. Any number of processes may run the same one at once. */
export interface PeriodicJob {
  readonly name: string;
  /** The longest pause between two rounds, milliseconds. Not for a periodic job that says when it is needed. */
  readonly everyMs: number | ((config: Config) => number);
  /**
   * Milliseconds until there is work, as an SQL expression that an index answers; null when there is none. All periodic jobs'
   * are asked in one statement (see `keepDueTimers`).
   */
  nextInMs?(deps: Pick<Deps, "clock" | "config">): SQL;
  /** The shortest pause after a round, milliseconds: what comes in meanwhile is done in one. @default 0 */
  readonly restMs?: number;
  /** A topic of `Wakes` that ends the pause early. */
  readonly wakeOn?: "pool" | "run" | "change";
  /** The key of that topic. @default any */
  readonly wakeKey?: string;
  /** Of a periodic job that sets rows aside: how one is tried again. */
  readonly retried?: Retried;
  /** One bounded round. `worked: true` asks for another at once. */
  runOnce(deps: Deps): Promise<{ worked: boolean }>;
}
