import type { Deps } from "../deps.ts";
import type { Admitted } from "./caller.ts";

/** How often it is asked although nothing woke it, milliseconds: a wake-up may be lost. */
const ASK_AGAIN_MS = 30_000;

/** How long a caller stays admitted. */
export interface Admission {
  /** Fires once the caller would be refused, or was not heard of. */
  readonly over: AbortSignal;
  /** Asks no more. */
  stop(): void;
}

/**
 * Watches whether somebody who was admitted still would be: a session ends, a key is revoked. A stream or a poll ends with
 * it, and whoever reads it comes back and is told why; else it would outlive the right to it by as long as a connection lasts.
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
    // What it watches keeps the process alive, not this timer.
    timer.unref();
  };
  const watch = (topic: "key" | "session", id: string | null) =>
    // Those who remember keys and sessions hear of it in the same turn, and must have forgotten by the time they are asked.
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

/** Some events, and what is to be done once they are no longer read. */
export async function* whileRead<T>(events: AsyncIterable<T>, then: () => void): AsyncGenerator<T> {
  try {
    yield* events;
  } finally {
    then();
  }
}
