import type { JournalledAttempt } from "towpath/test";

/** When a process is killed. */
export type Kill = NonNullable<JournalledAttempt["kill"]>;

/** Reproducible random numbers in [0, 1) (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Chooses the next kill at one of the remaining tasks, and leaves some tasks for later kills. Half of the kills fall
 * between a task's effects and the record of its completion, the worst moment.
 * @returns Null if no task is left.
 */
export function nextKill(random: () => number, args: { left: number; kills: number }): Kill | null {
  if (args.left <= 0 || args.kills <= 0) return null;
  const among = Math.ceil(args.left / args.kills);
  return { completed: 1 + Math.floor(random() * among), held: random() < 0.5 };
}
