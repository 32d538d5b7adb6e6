import type { Logger } from "pino";
import type { StreamEvent } from "./handle.ts";

/** Silence after which a comment is sent, so that proxies and readers know the connection is alive. */
const KEEP_ALIVE_MS = 15_000;

/** Milliseconds after which a reader whose stream broke comes back. */
const RETRY_MS = 1_000;

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // Proxies such as nginx otherwise hold back what is small.
  "x-accel-buffering": "no",
};

/** One event as text. An id or name with a line break would end the event early, so breaks are dropped there. */
export function eventText(event: StreamEvent): string {
  const line = (text: string) => text.replace(/[\r\n\0]/g, "");
  const id = event.id === undefined ? "" : `id: ${line(event.id)}\n`;
  return `${id}event: ${line(event.event)}\ndata: ${JSON.stringify(event.data)}\n\n`;
}

/**
 * Answers server-sent events: one at a time as the reader takes them, with comments in between silence. Ends when the
 * events do, when the reader has gone and when the server shuts down. A failure ends the stream; the reader comes back
 * with `Last-Event-ID`.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function streamAnswer(
  events: AsyncIterable<StreamEvent>,
  args: { signal: AbortSignal; log: Logger; keepAliveMs?: number },
): Response {
  const encoder = new TextEncoder();
  const iterator = events[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<StreamEvent>> | null = null;
  let ended = false;
  const end = () => {
    ended = true;
    void Promise.resolve(iterator.return?.()).catch(() => {});
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(encoder.encode(`retry: ${RETRY_MS}\n\n`));
      },
      async pull(controller) {
        try {
          next ??= iterator.next();
          const won = await soonest(next, { signal: args.signal, ms: args.keepAliveMs ?? KEEP_ALIVE_MS });
          if (ended) return;
          if (won === "aborted" || (won !== "silent" && won.done === true)) {
            end();
            controller.close();
          } else if (won === "silent") {
            controller.enqueue(encoder.encode(": \n\n"));
          } else {
            next = null;
            controller.enqueue(encoder.encode(eventText(won.value)));
          }
        } catch (error) {
          if (!args.signal.aborted) args.log.error({ err: error }, "a stream of events failed");
          if (!ended) controller.close();
          end();
        }
      },
      cancel: end,
    },
    { highWaterMark: 1 },
  );
  return new Response(body, { status: 200, headers: HEADERS });
}

/** The next event, or that it stayed silent for `ms`, or that the signal fired. Leaves neither timer nor listener. */
function soonest<T>(
  next: Promise<T>,
  args: { signal: AbortSignal; ms: number },
): Promise<T | "silent" | "aborted"> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      clearTimeout(timer);
      args.signal.removeEventListener("abort", onAbort);
      act();
    };
    const onAbort = () => settle(() => resolve("aborted"));
    const timer = setTimeout(() => settle(() => resolve("silent")), args.ms);
    args.signal.addEventListener("abort", onAbort, { once: true });
    if (args.signal.aborted) onAbort();
    next.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
