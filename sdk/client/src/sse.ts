/** One event of a server-sent stream. */
export interface SseEvent {
  /** The name of the event; `message` when the stream gave none. */
  readonly event: string;
  readonly data: string;
  /** The last id seen up to this event; empty when there was none yet. */
  readonly id: string;
}

/** Takes the bytes of a stream as they come. */
export interface SseParser {
  /** The events that these bytes complete. */
  push(chunk: Uint8Array): SseEvent[];
  /** The reconnection time that the server asked for, or null. */
  retryMs(): number | null;
}

/** The most that one event may hold, characters. */
const EVENT_CHARS_MAX = 16 * 1024 * 1024;

/** An event of the stream is larger than the reader accepts. */
export class SseTooLarge extends Error {
  override readonly name = "SseTooLarge";

  constructor() {
    super(`an event of the stream is larger than ${EVENT_CHARS_MAX} characters`);
  }
}

interface Pending {
  event: string;
  data: string[];
  chars: number;
  id: string;
  retryMs: number | null;
}

function applyField(pending: Pending, line: string): void {
  const colon = line.indexOf(":");
  // A line that starts with a colon is a comment: servers send them to keep the connection alive.
  if (colon === 0) return;
  const field = colon === -1 ? line : line.slice(0, colon);
  const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
  if (field === "event") pending.event = value;
  else if (field === "data") {
    pending.data.push(value);
    pending.chars += value.length;
    if (pending.chars > EVENT_CHARS_MAX) throw new SseTooLarge();
  } else if (field === "id" && !value.includes("\0")) pending.id = value;
  else if (field === "retry" && /^\d{1,9}$/.test(value)) pending.retryMs = Number(value);
}

function dispatch(pending: Pending): SseEvent | null {
  const { event, data } = pending;
  pending.event = "";
  pending.data = [];
  pending.chars = 0;
  return data.length === 0 ? null : { event: event || "message", data: data.join("\n"), id: pending.id };
}

/**
 * Parses a stream of server-sent events, however its bytes are cut into chunks. An event that the end of the stream
 * cuts short is dropped, as the standard says.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function sseParser(): SseParser {
  const decoder = new TextDecoder("utf-8");
  const pending: Pending = { event: "", data: [], chars: 0, id: "", retryMs: null };
  let rest = "";
  let endedByCr = false;

  function* linesOf(text: string): Generator<string> {
    // A chunk may end between the CR and the LF of one line end; the LF is then not another, empty, line.
    rest += endedByCr && text.startsWith("\n") ? text.slice(1) : text;
    if (text !== "") endedByCr = text.endsWith("\r");
    let from = 0;
    for (const found of rest.matchAll(/\r\n|\r|\n/g)) {
      yield rest.slice(from, found.index);
      from = found.index + found[0].length;
    }
    rest = rest.slice(from);
    if (rest.length > EVENT_CHARS_MAX) throw new SseTooLarge();
  }

  return {
    push(chunk) {
      const events: SseEvent[] = [];
      for (const line of linesOf(decoder.decode(chunk, { stream: true }))) {
        if (line !== "") applyField(pending, line);
        else {
          const event = dispatch(pending);
          if (event) events.push(event);
        }
      }
      return events;
    },
    retryMs: () => pending.retryMs,
  };
}
