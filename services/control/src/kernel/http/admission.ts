import type { Deps } from "../deps.ts";
import type { Admitted } from "./caller.ts";

/** How often the caller is identified again without a wake-up, milliseconds: a wake-up may be lost. */
const ASK_AGAIN_MS = 30_000;

/** How long a caller stays admitted. */
export interface Admission {
  /** Fires when the caller would now be refused. */
  readonly over: AbortSignal;
  /** Stops watching. */
  stop(): void;
}

/**
 * Watches whether an admitted caller still would be: a session may end, a key may be revoked. Then its stream or poll
 * ends, and the reader learns the reason when it returns. Otherwise the connection would outlive the right to read.
 */
export function watchAdmission(
  deps: Pick<Deps, "wakes">,
  args: { admitted: Admitted; ask: () => Promise<Admitted> },
): Admission {
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const { keyId, sessionId } = args.admitted;
  const ask = () => {
    args.ask().then(
      ({ lastsMs }) => wait(lastsMs),
      () => over.abort(),
    );
  };
  const wait = (lastsMs: number | null) => {
    clearTimeout(timer);
    if (isOver) return;
    timer = setTimeout(ask, Math.min(lastsMs ?? ASK_AGAIN_MS, ASK_AGAIN_MS));
    // The watched request keeps the process alive, not this timer.
    timer.unref();
  };
  const watch = (topic: "key" | "session", id: string | null) =>
    // The caches of keys and sessions hear of it in the same turn of the event loop, and must drop their entries first.
    id === null ? () => {} : deps.wakes.subscribe(topic, id, () => queueMicrotask(ask));
  const unsubscribe = [watch("key", keyId), watch("session", sessionId)];
  wait(args.admitted.lastsMs);
  const stop = () => {
    isOver = true;
    clearTimeout(timer);
    for (const leave of unsubscribe) leave();
  };
  over.signal.addEventListener("abort", stop, { once: true });
  return { over: over.signal, stop };
}

/** Events, with an action for the time when they are no longer read. */
export async function* withCleanup<T>(events: AsyncIterable<T>, then: () => void): AsyncGenerator<T> {
  try {
    yield* events;
  } finally {
    then();
  }
}
