import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Sql } from "postgres";

/**
 * The topics of wake-ups. Their keys: the id of a pool, run, revoked key, ended browser session or job's pool; for
 * changes the workspace or a fixed name.
 */
export type WakeTopic = "pool" | "run" | "change" | "key" | "session" | "job";

/** The key for "anything on this topic". */
export const ANY_KEY = "*";

/** Called for each publication, with its key. */
export type Wake = (key: string) => void;

/**
 * Hints that something happened, sent between processes by NOTIFY. If they are lost, only latency grows, because every
 * waiter also looks now and then.
 */
export interface Wakes {
  /** Wakes all processes. Call it after the commit: publications are combined into one NOTIFY per flush. */
  publish(topic: WakeTopic, keys: readonly string[]): void;
  /**
   * Calls `wake` at each publication of this key, or of any key with `ANY_KEY`. Also calls it with `ANY_KEY` whenever
   * publications may have been missed.
   */
  subscribe(topic: WakeTopic, key: string, wake: Wake): () => void;
  close(): Promise<void>;
}

const CHANNEL = "towpath";
/**
 * The shortest time between two NOTIFYs, milliseconds. The first is sent at once. At a thousand runs a second this
 * replaces two thousand statements and commits by a hundred.
 */
const REST_MS = 10;
/** NOTIFY refuses payloads of 8000 bytes. A longer flush becomes "anything". */
const PAYLOAD_MAX_BYTES = 7_000;

type Keys = Map<string, Set<string>>;

class Subscribers {
  readonly #byTopicKey = new Map<string, Set<Wake>>();

  add(topic: WakeTopic, key: string, wake: Wake): () => void {
    const name = `${topic} ${key}`;
    const set = this.#byTopicKey.get(name) ?? new Set();
    this.#byTopicKey.set(name, set.add(wake));
    return () => {
      set.delete(wake);
      if (set.size === 0 && this.#byTopicKey.get(name) === set) this.#byTopicKey.delete(name);
    };
  }

  fire(topic: string, key: string): void {
    if (key === ANY_KEY) {
      for (const name of [...this.#byTopicKey.keys()])
        if (name.startsWith(`${topic} `)) this.#call(name, ANY_KEY);
      return;
    }
    this.#call(`${topic} ${key}`, key);
    this.#call(`${topic} ${ANY_KEY}`, key);
  }

  fireAll(): void {
    for (const name of [...this.#byTopicKey.keys()]) this.#call(name, ANY_KEY);
  }

  #call(name: string, key: string): void {
    for (const wake of [...(this.#byTopicKey.get(name) ?? [])]) wake(key);
  }
}

/** Encodes pending publications as `topic key key;topic key`, or as "anything" if that is too long. */
function encode(pending: Keys): string {
  const whole = [...pending].map(([topic, keys]) => [topic, ...keys].join(" ")).join(";");
  if (whole.length <= PAYLOAD_MAX_BYTES) return whole;
  return [...pending.keys()].map((topic) => `${topic} ${ANY_KEY}`).join(";");
}

/**
 * Opens the wake-up channel. One connection listens; publications go out through `sql`, one statement per flush, and
 * the next flush collects publications that arrive meanwhile. Subscribers of this process are called at once, without
 * waiting for the database.
 */
export async function openWakes(deps: { sql: Sql; log: Logger }): Promise<Wakes> {
  const subscribers = new Subscribers();
  let pending: Keys = new Map();
  let flushing: Promise<void> | null = null;
  let closing = false;
  const own = `from ${randomUUID()}`;
  const deliver = (payload: string) => {
    const parts = payload.split(";");
    if (parts[0] === own) return;
    for (const part of parts) {
      const [topic = "", ...keys] = part.split(" ");
      for (const key of keys) subscribers.fire(topic, key);
    }
  };
  const listening = await deps.sql.listen(CHANNEL, deliver, () => subscribers.fireAll());
  const flush = async () => {
    while (pending.size > 0) {
      const payload = encode(pending);
      pending = new Map();
      await deps.sql.notify(CHANNEL, `${own};${payload}`).catch((error: unknown) => {
        deps.log.warn({ err: error }, "a wake-up was lost; waiting readers will check without it");
      });
      if (!closing) await delay(REST_MS);
    }
    flushing = null;
  };
  return {
    publish(topic, keys) {
      if (closing) return;
      const set = pending.get(topic) ?? new Set<string>();
      for (const key of keys) set.add(key);
      if (set.size > 0) pending.set(topic, set);
      if (pending.size > 0) flushing ??= flush();
      for (const key of keys) queueMicrotask(() => subscribers.fire(topic, key));
    },
    subscribe: (topic, key, wake) => subscribers.add(topic, key, wake),
    async close() {
      closing = true;
      await flushing;
      await listening.unlisten().catch(() => {});
    },
  };
}
