import type { Logger } from "pino";
import type { Clock, Sleep } from "../host/index.ts";
import type { Connection } from "./connection.ts";
import { isVersionRefusal } from "./errors.ts";

/** What every loop of the protocol needs. */
export interface LoopDeps {
  readonly connection: Connection;
  readonly log: Logger;
  /** The machine's time, for instants on the wire. It may be wrong. */
  readonly clock: Clock;
  readonly bootClock: Clock;
  readonly sleep: Sleep;
  /** A number from 0 up to 1. Tests replace it. */
  readonly random: () => number;
}

/** A running loop. */
export interface Loop {
  /** Makes the loop look at once, because something has changed. */
  nudge(): void;
  /** Ends the pause after a call without an answer, because another call has had one. */
  retry?(): void;
  /** Ends the loop. Resolves when it has stopped. */
  stop(): Promise<void>;
}

/** So many answers in a row may come at once without a pause, if each has something new. */
const QUICK_MAX = 5;

/**
 * Counts answers that came at once and brought no work. An honest control plane has no more than a few of them in a row. A broken or
 * hostile one must not make a busy loop of them.
 */
export class QuickAnswers {
  #inRow = 0;

  /** Notes an answer. @returns whether the loop must pause. */
  heard(args: { readonly quick: boolean; readonly news: boolean }): boolean {
    this.#inRow = args.quick ? this.#inRow + 1 : 0;
    return args.quick && (!args.news || this.#inRow > QUICK_MAX);
  }
}

/** Logs the first failure of a row as a warning, and its end. Failures in between are for debugging. */
export function createOutageLog(log: Logger, verb: string) {
  let failing = false;
  return {
    failed(error: unknown) {
      const message = error instanceof Error ? error.message : String(error);
      // The connection explains a refused protocol, once.
      if (failing || isVersionRefusal(error)) log.debug({ verb, error: message }, "still failing");
      else
        log.warn(
          { verb, error: message },
          "the control plane is not available now; running attempts continue",
        );
      failing = true;
    },
    succeeded() {
      if (failing) log.info({ verb }, "the control plane answers again");
      failing = false;
    },
  };
}

/** Waits for a time. Returns false when the signal aborted first. */
export async function pause(
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>,
  args: { ms: number; signal: AbortSignal },
): Promise<boolean> {
  await sleep(args.ms, args.signal).catch(() => {});
  return !args.signal.aborted;
}
