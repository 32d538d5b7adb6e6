import type { Tx } from "./database.ts";
import { afterCommit } from "./transaction.ts";
import type { WakeTopic } from "./wakes.ts";

/** Sends a wake-up once this transaction has committed. The kernel combines the wake-ups of many transactions. */
export function wakeAfterCommit(tx: Tx, topic: WakeTopic, key: string): void {
  afterCommit(tx, `wake ${topic} ${key}`, (deps) => deps.wakes.publish(topic, [key]));
}

/**
 * Wakes the processes where this worker polls, because it has a command. Workers and pools share a topic: both are
 * keyed by ids, and a poll listens to both.
 */
export function wakeWorkerAfterCommit(tx: Tx, workerId: string | null): void {
  if (workerId !== null) wakeAfterCommit(tx, "pool", workerId);
}
