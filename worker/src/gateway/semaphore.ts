/** Lets so many through at once; the others wait in the order in which they came. */
export interface Semaphore {
  /** Runs some work once there is room. */
  pass<T>(work: () => Promise<T>): Promise<T>;
}

/** Makes a semaphore. Whoever uses it bounds how many may wait. */
export function createSemaphore(atOnce: number): Semaphore {
  let inside = 0;
  const waiting: (() => void)[] = [];
  return {
    async pass(work) {
      if (inside >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
      else inside += 1;
      try {
        return await work();
      } finally {
        // The place goes straight to the next in line, so that nobody slips in between.
        const next = waiting.shift();
        if (next) next();
        else inside -= 1;
      }
    },
  };
}
