import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Sql } from "postgres";

/**
 * What a wake can be about. Keys: a pool's id, a run's id, `*` for the change feed, the id of a key that was revoked, of a
 * browser's session that was ended, a pool's id.
 */
export type WakeTopic = "pool" | "run" | "change" | "key" | "session" | "job";

/** The key that means "anything on this topic". */
export const ANY_KEY = "*";

/** Is called at a publication, with its key. */
export type Wake = (key: string) => void;

/**
 * Hints that something happened, carried by NOTIFY between processes. Losing every one of them only adds latency:
 * whoever waits also looks by itself now and then.
 */
export interface Wakes {
  /** Tells all processes. Call it after the commit: publications are coalesced into one NOTIFY per flush. */
  publish(topic: WakeTopic, keys: readonly string[]): void;
  /**
   * Calls `wake` at each publication of this key, or of any with `ANY_KEY`, and whenever publications may have been missed. It is
   * given the key that was published; `ANY_KEY` if that may have been any.
   */
  subscribe(topic: WakeTopic, key: string, wake: Wake): () => void;
  close(): Promise<void>;
}

const CHANNEL = "towpath";
/**
 * The shortest time between two publications to other processes, milliseconds. The first one goes at once; with a
 * thousand runs a second, two thousand notifications a second would otherwise follow, each a statement and a commit.
 */
const REST_MS = 10;
/** NOTIFY refuses payloads of 8000 bytes; past this a flush says "anything". */
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

/** Encodes what is pending as `topic key key;topic key`, or as "anything" when that would be too long. */
function encode(pending: Keys): string {
  const whole = [...pending].map(([topic, keys]) => [topic, ...keys].join(" ")).join(";");
  if (whole.length <= PAYLOAD_MAX_BYTES) return whole;
  return [...pending.keys()].map((topic) => `${topic} ${ANY_KEY}`).join(";");
}

/**
 * Opens the wake-up channel. One connection listens; publications go out through `sql`, one statement per flush, and
 * the next flush gathers what came while the previous one was on its way. Subscribers of this process do not wait for
 * the database to say what it was just told; it saves them about a millisecond and a half on a busy machine.
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
        deps.log.warn({ err: error }, "a wake-up was lost; waiting readers will look by themselves");
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
