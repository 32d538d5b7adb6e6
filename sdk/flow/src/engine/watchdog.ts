import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { Worker } from "node:worker_threads";
import type { GatewayAddress } from "@towpath/contract/words";
import { OWN_FRAMES } from "./describe-error.ts";

/** How long the report of a blocked process may take before the process is killed, milliseconds. */
const REPORT_MS = 5000;
/** Memory of the thread. Its largest read is the source map of a bundle. */
const HEAP = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 1 } as const;

/** A try, its time limit, and the message if it blocks the process longer. */
export interface WatchedTry {
  readonly afterMs: number;
  readonly path: string;
  readonly name: string;
  readonly tries: number;
  readonly message: string;
}

/** A thread that notices when the process's event loop is blocked. */
export interface Watchdog {
  /**
   * Kills the process unless the returned function is called in time. A try that blocks the event loop cannot be
   * aborted, because no other code of the process runs. Resolves once the thread is watching.
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
  // Without the thread, a blocked try runs until the run's own time limit. That is no reason to fail a run.
  thread.on("error", () => {});
  return thread;
}

/**
 * A watchdog. Its thread starts with the first watched try, so flows without time limits do not pay for it.
 * @param address The gateway for the report; null prints it.
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
