import type { Logger } from "pino";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Database } from "./database.ts";
import type { Wakes } from "./wakes.ts";

/** What verbs, stores, routes and duties are given. Nothing of this is module state. */
export interface Deps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly wakes: Wakes;
  readonly config: Config;
}

/** One timed duty of the control plane. Any number of processes may run the same one at once. */
export interface Duty {
  readonly name: string;
  /** The longest pause between two rounds, milliseconds. */
  readonly everyMs: number;
  /** A topic of `Wakes` that ends the pause early. */
  readonly wakeOn?: "pool" | "run" | "change";
  /** One bounded round. `worked: true` asks for another at once. */
  runOnce(deps: Deps): Promise<{ worked: boolean }>;
}
