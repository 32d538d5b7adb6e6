import type { Logger } from "pino";
import type { StreamEvent } from "./handle.ts";

/** The silence after which a comment is sent, milliseconds, so that proxies and readers keep the connection. */
const KEEP_ALIVE_MS = 15_000;

/** The delay before a reader reconnects after a broken stream, milliseconds. */
const RETRY_MS = 1_000;

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // Proxies such as nginx otherwise buffer small events.
  "x-accel-buffering": "no",
};

/** One event as text. Line breaks in an id or name are removed, since they would end the event early. */
export function eventText(event: StreamEvent): string {
  const oneLine = (text: string) => text.replace(/[\r\n\0]/g, "");
  const id = event.id === undefined ? "" : `id: ${oneLine(event.id)}\n`;
  return `${id}event: ${oneLine(event.event)}\ndata: ${JSON.stringify(event.data)}\n\n`;
}

/**
 * Answers server-sent events. Reads each event when the reader can take it, and sends comments during silence. The stream
 * ends with the events, when the reader has gone, when the server shuts down, and after a failure. The reader reconnects
 * with `Last-Event-ID`. Hono's encoder is not used: it writes the fields in another order and sends errors to the reader.
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
          const first = await firstOf(next, { signal: args.signal, ms: args.keepAliveMs ?? KEEP_ALIVE_MS });
          if (ended) return;
          if (first === "aborted" || (first !== "silent" && first.done === true)) {
            end();
            controller.close();
          } else if (first === "silent") {
            controller.enqueue(encoder.encode(": \n\n"));
          } else {
            next = null;
            controller.enqueue(encoder.encode(eventText(first.value)));
          }
        } catch (error) {
          if (!args.signal.aborted)
            args.log.error({ err: error }, "a stream of events failed; its reader will reconnect");
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

/** Waits for the next event, for `ms` of silence, or for the signal. Leaves no timer and no listener. */
function firstOf<T>(
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
