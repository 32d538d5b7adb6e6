import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { CHECK_THREAD } from "./places.ts";
import type { SchemaText } from "./schema-text.ts";
import type { Answered, CheckRequest } from "./wire.ts";

/** The most that the texts of the schemas that a thread remembers may have, characters. */
const SCHEMAS_CHARS_MAX = 4 * 1024 * 1024;
/** How long a thread may take to begin, milliseconds. */
const BEGIN_MS = 30_000;
/** How long a thread without work is kept, milliseconds. */
const IDLE_MS = 60_000;

/** Why a thread was ended before it had an answer. */
export type Ended = "time" | "memory";

/** A thread that could not be begun, or failed by a fault of ours. */
class ThreadFailure extends Error {
  override readonly name = "ThreadFailure";
}

/** Values to check in one go. */
export interface Batch {
  readonly schema: SchemaText;
  readonly values: readonly string[];
  readonly root: string;
  readonly steps: number;
  readonly timeMs: number;
}

/** One checking thread: begun when it is first needed, and anew after it was ended. Checks one batch at a time. */
export class CheckThread {
  #worker: Worker | null = null;
  /** The schemas that it remembers, the one that was used long ago first. */
  readonly #known = new Map<string, number>();
  #knownChars = 0;
  #idle: NodeJS.Timeout | undefined;
  readonly #memoryMb: number;

  /** @param args.memoryMb Its heap. */
  constructor(args: { memoryMb: number }) {
    this.#memoryMb = args.memoryMb;
  }

  /** @returns What came of the first values; or why the thread was ended. */
  async check(batch: Batch): Promise<Answered | Ended> {
    clearTimeout(this.#idle);
    try {
      const worker = this.#worker ?? (await this.#begin());
      worker.ref();
      const answered = await this.#ask(worker, batch);
      if (typeof answered === "string") await this.end();
      return answered;
    } catch (error) {
      await this.end();
      throw error;
    } finally {
      this.#worker?.unref();
      this.#idle = setTimeout(() => void this.end(), IDLE_MS).unref();
    }
  }

  /** Ends the thread, whatever it does. */
  async end(): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = null;
    this.#known.clear();
    this.#knownChars = 0;
    await worker?.terminate();
  }

  async #begin(): Promise<Worker> {
    const worker = new Worker(CHECK_THREAD, {
      env: {},
      execArgv: [],
      stdin: false,
      resourceLimits: { maxOldGenerationSizeMb: this.#memoryMb, maxYoungGenerationSizeMb: 8, stackSizeMb: 4 },
    });
    // A waiting check hears of a failure. When none waits, the next check finds the thread gone.
    worker.on("error", () => {});
    const gone = new AbortController();
    worker.on("exit", () => {
      gone.abort(new ThreadFailure("A checking thread ended before it began."));
      if (this.#worker === worker) void this.end();
    });
    this.#worker = worker;
    const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(BEGIN_MS)]);
    await once(worker, "message", { signal });
    return worker;
  }

  #ask(worker: Worker, batch: Batch): Promise<Answered | Ended> {
    const { schema, values, root, steps } = batch;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        worker.off("message", onMessage).off("error", onError).off("exit", onExit);
        act();
      };
      const onMessage = (answered: Answered) => settle(() => resolve(answered));
      const onError = (error: Error) =>
        settle(() => (isOutOfMemory(error) ? resolve("memory") : reject(error)));
      const onExit = () => settle(() => reject(new ThreadFailure("A checking thread ended by itself.")));
      const timer = setTimeout(() => settle(() => resolve("time")), batch.timeMs);
      worker.on("message", onMessage).on("error", onError).on("exit", onExit);
      const asked: CheckRequest = { schema: this.#remember(schema), values, root, steps };
      worker.postMessage(asked);
    });
  }

  /** Notes that the thread will know a schema, and which it forgets for that. */
  #remember({ key, text }: SchemaText): CheckRequest["schema"] {
    const isKnown = this.#known.delete(key);
    this.#known.set(key, text.length);
    if (isKnown) return { key, text: null, forget: [] };
    this.#knownChars += text.length;
    const forget: string[] = [];
    for (const [other, chars] of this.#known) {
      if (this.#knownChars <= SCHEMAS_CHARS_MAX || other === key) break;
      this.#known.delete(other);
      this.#knownChars -= chars;
      forget.push(other);
    }
    return { key, text, forget };
  }
}

function isOutOfMemory(error: Error): boolean {
  return "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
}
