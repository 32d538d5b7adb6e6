import type { Tx } from "./database.ts";
import { afterCommit } from "./transaction.ts";
import type { WakeTopic } from "./wakes.ts";

/** Publishes a wake once this transaction has committed. The kernel gathers what many transactions publish. */
export function wakeAfterCommit(tx: Tx, topic: WakeTopic, key: string): void {
  afterCommit(tx, `wake ${topic} ${key}`, (deps) => deps.wakes.publish(topic, [key]));
}

/**
 * Tells the processes where this worker polls that it has a command to hear. Workers share the topic of pools: both
 * are keyed by ids, and a poll listens to the two.
 */
export function wakeWorkerAfterCommit(tx: Tx, workerId: string | null): void {
  if (workerId !== null) wakeAfterCommit(tx, "pool", workerId);
}
