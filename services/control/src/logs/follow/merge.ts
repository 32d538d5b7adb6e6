import { WakeUp } from "@towpath/contract";

/** A value that is not read yet, and the function that lets its source continue. */
interface Offered<Item> {
  readonly value: Item;
  readonly taken: () => void;
}

/** The longest wait for a source to wake the merger, milliseconds. */
const LOOK_MS = 60_000;

/**
 * Merges sources in the order of their values. Reads no value ahead of the reader. Ends when all sources have ended, when
 * the signal fires, or with the failure of a source. Sources must end with the same signal.
 */
export async function* merge<Item>(
  sources: readonly AsyncIterable<Item>[],
  signal: AbortSignal,
): AsyncGenerator<Item> {
  const wakeUp = new WakeUp();
  const offered: Offered<Item>[] = [];
  let open = sources.length;
  let failure: { readonly error: unknown } | null = null;
  let over = false;
  const pump = async (source: AsyncIterable<Item>) => {
    try {
      for await (const value of source) {
        if (over) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        offered.push({ value, taken: resolve });
        wakeUp.wake();
        await promise;
      }
    } catch (error) {
      failure ??= { error };
    } finally {
      open -= 1;
      wakeUp.wake();
    }
  };
  for (const source of sources) void pump(source);
  try {
    for (;;) {
      for (let next = offered.shift(); next !== undefined; next = offered.shift()) {
        yield next.value;
        next.taken();
      }
      if (failure !== null) throw (failure as { error: unknown }).error;
      if (open === 0 || signal.aborted) return;
      await wakeUp.wait(LOOK_MS, signal);
    }
  } finally {
    over = true;
    for (const { taken } of offered) taken();
  }
}
