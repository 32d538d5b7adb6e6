import { createParser } from "eventsource-parser";

/** One event of a server-sent stream. */
export interface SseEvent {
  /** The name of the event. Without a name in the stream, it is `message`. */
  readonly event: string;
  readonly data: string;
  /** The last id up to this event. Empty: the stream had no id yet. */
  readonly id: string;
}

/** Parses a stream in chunks. */
export interface SseParser {
  /** The events that these bytes complete. */
  push(chunk: Uint8Array): SseEvent[];
  /** The reconnection time that the server asked for, or null. */
  retryMs(): number | null;
}

/** The largest event, characters. */
const EVENT_CHARS_MAX = 16 * 1024 * 1024;

/** The longest reconnection time that a server may ask for, milliseconds. A timer takes no more than 2^31. */
const RETRY_MS_MAX = 999_999_999;

/** An event of the stream is larger than the reader accepts. */
export class SseTooLarge extends Error {
  override readonly name = "SseTooLarge";

  constructor() {
    super(`an event of the stream is larger than ${EVENT_CHARS_MAX} characters`);
  }
}

/**
 * Parses a stream of server-sent events. Chunks may end anywhere. An incomplete event at the end of the stream is dropped,
 * as the standard requires.
 * @throws SseTooLarge from `push`.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function sseParser(): SseParser {
  const decoder = new TextDecoder("utf-8");
  let events: SseEvent[] = [];
  let lastId = "";
  let retryMs: number | null = null;
  // The parser drops a line without a known field, however long. A stream of nothing else must not look alive.
  let sinceWhole = 0;
  const parser = createParser({
    maxBufferSize: EVENT_CHARS_MAX,
    onId: (id) => {
      lastId = id;
    },
    onEvent: ({ event, data }) => {
      events.push({ event: event || "message", data, id: lastId });
      sinceWhole = 0;
    },
    onComment: () => {
      sinceWhole = 0;
    },
    onRetry: (ms) => {
      retryMs = Math.min(ms, RETRY_MS_MAX);
    },
    // The other errors are about single fields. The standard ignores such fields.
    onError: ({ type }) => {
      if (type === "max-buffer-size-exceeded") throw new SseTooLarge();
    },
  });
  return {
    push(chunk) {
      events = [];
      const text = decoder.decode(chunk, { stream: true });
      sinceWhole += text.length;
      parser.feed(text);
      if (sinceWhole > EVENT_CHARS_MAX) throw new SseTooLarge();
      return events;
    },
    retryMs: () => retryMs,
  };
}
