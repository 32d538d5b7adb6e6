import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { Worker } from "node:worker_threads";
import type { GatewayAddress } from "@towpath/contract/words";
import { OWN_FRAMES } from "./describe-error.ts";

/** How long the report of a blocked process may take before it is killed all the same, milliseconds. */
const REPORT_MS = 5000;
/** The thread keeps a timer for each watched try; only its report reads more: the source map of a bundle. */
const HEAP = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 1 } as const;

/** A try that may run for so long, and what to say of it if it blocks the process beyond that. */
export interface WatchedTry {
  readonly afterMs: number;
  readonly path: string;
  readonly name: string;
  readonly tries: number;
  readonly message: string;
}

/** Watches from a thread that this process comes round in time. */
export interface Watchdog {
  /**
   * Has the process killed unless the answer is called in time. A try whose time is up aborts and is left; one that blocks
   * the event loop cannot be, since nobody else in the process runs while it does. Resolves once the thread knows.
   */
  watch(watched: WatchedTry): Promise<() => void>;
  /** Ends the thread. */
  close(): void;
}

function gatewayOf(address: GatewayAddress | null): object | null {
  if (address === null) return null;
  const token = readFileSync(address.tokenFile, "utf8").trim();
  return { socket: address.socket, authorization: `Bearer ${token}` };
}

async function startThread(address: GatewayAddress | null): Promise<Worker> {
  const [{ Worker }, { WATCHDOG_THREAD }] = await Promise.all([
    import("node:worker_threads"),
    import("./watchdog-thread.ts"),
  ]);
  const here = `${pathToFileURL(process.cwd()).href}/`;
  const workerData = { gateway: gatewayOf(address), reportMs: REPORT_MS, own: OWN_FRAMES, here };
  const thread = new Worker(WATCHDOG_THREAD, { eval: true, workerData, env: {}, resourceLimits: HEAP });
  thread.unref();
  // Without it a try that blocks goes on until the run's own time limit: nothing to fail a run for.
  thread.on("error", () => {});
  return thread;
}

/**
 * A watchdog whose thread starts with the first try that is watched: only flows with time limits pay for it.
 * @param address Where the end of a killed process is reported; null prints it.
 */
export function createWatchdog(address: GatewayAddress | null): Watchdog {
  let starting: Promise<Worker> | null = null;
  let ids = 0;
  return {
    async watch({ afterMs, ...report }) {
      starting ??= startThread(address);
      const thread = await starting;
      const id = ++ids;
      thread.postMessage({ id, afterMs, report });
      return () => thread.postMessage({ id });
    },
    close() {
      starting?.then((thread) => void thread.terminate()).catch(() => {});
    },
  };
}
