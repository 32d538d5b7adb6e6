import { type AnswerOf, Problem, type ROUTES, type Route, type RouteName } from "@towpath/contract";
import { failureOf, NO_REDIRECT, refuseRedirect } from "./answer.ts";
import { ConnectionFailure, StreamInterrupted, UnexpectedAnswer } from "./failure.ts";
import type { LooseInput } from "./loose-input.ts";
import { mayPass, pause, pauseMs } from "./repeat.ts";
import { headersOf, isAbortOf, pathOf, type Target } from "./request.ts";
import { type SseEvent, sseParser } from "./sse.ts";

/** One event, with the id that resumes the stream after it. Without a route's name: an event of a run's stream. */
export type StreamedEvent<Name extends RouteName = "streamRun"> = AnswerOf<(typeof ROUTES)[Name]> & {
  readonly id: string;
};

/** An event of any stream. */
interface LooseEvent {
  readonly event: string;
  readonly data: unknown;
  readonly id: string;
}

/** Options of a stream. */
export interface StreamOptions {
  /** Begin after this event instead of at the beginning. */
  readonly lastEventId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How many connections in a row may fail without an event. After that, the stream fails. @default 20 */
  readonly reconnects?: number;
  /**
   * How long a connection may send nothing, not even a keep-alive comment, milliseconds. After that, the stream reconnects.
   * @default 60_000
   */
  readonly idleMs?: number;
  /** Whether events are checked against the contract. @default true */
  readonly validate?: boolean;
}

const DEFAULT_RECONNECTS = 20;
const DEFAULT_IDLE_MS = 60_000;

interface Cursor {
  lastEventId: string | null;
  retryMs: number | null;
}

/** A signal that aborts with the caller's signal, or after a time without data. */
function watchSilence(idleMs: number, signal: AbortSignal | undefined) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), idleMs);
  return {
    signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
    heard() {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), idleMs);
    },
    stop: () => clearTimeout(timer),
  };
}

/** The variants of a stream's answer: each row of the table with `stream` answers a union told apart by `event`. */
function variantsOf(answer: unknown) {
  return (answer as { options: readonly { shape: { event: { value: string } } }[] }).options;
}

function readEvent(
  target: Target,
  args: { route: Route; event: SseEvent; validate: boolean },
): LooseEvent | null {
  const { route, event } = args;
  // A server of a later release may send events that this release does not know.
  const known = variantsOf(route.answer).map((variant) => variant.shape.event.value);
  if (typeof route.answer === "string" || !known.includes(event.event)) return null;
  try {
    const value: unknown = { event: event.event, data: JSON.parse(event.data) };
    return { ...trusted(args.validate ? route.answer.parse(value) : value), id: event.id };
  } catch (cause) {
    throw new UnexpectedAnswer(target.url, {
      status: 200,
      reason: `an event \`${event.event}\` is not what this release expects`,
      cause,
    });
  }
}

/** Casts a value to an event. It was checked, or the caller turned validation off and trusts the server. */
function trusted(value: unknown): Omit<LooseEvent, "id"> {
  return value as Omit<LooseEvent, "id">;
}

async function* connectOnce(
  target: Target,
  args: { route: Route; path: string; input: LooseInput; cursor: Cursor; options: StreamOptions },
): AsyncGenerator<LooseEvent> {
  const { cursor, options } = args;
  const silence = watchSilence(options.idleMs ?? DEFAULT_IDLE_MS, options.signal);
  try {
    const headers = await headersOf(target, "text/event-stream, application/problem+json");
    if (cursor.lastEventId !== null) headers["last-event-id"] = cursor.lastEventId;
    const init = { ...NO_REDIRECT, headers, signal: silence.signal };
    const response = await target.fetch(`${target.url}${args.path}`, init);
    refuseRedirect(target.url, response);
    const media = response.headers.get("content-type") ?? "";
    if (!response.ok) {
      const retryAfter = response.headers.get("retry-after");
      throw failureOf(target.url, { status: response.status, text: await response.text(), retryAfter });
    }
    if (!media.startsWith("text/event-stream") || response.body === null)
      throw new UnexpectedAnswer(target.url, {
        status: response.status,
        reason: `${media || "no content type"} instead of a stream of events`,
      });
    const parser = sseParser();
    for await (const chunk of chunksOf(response.body)) {
      silence.heard();
      for (const event of parser.push(chunk)) {
        if (event.id !== "") cursor.lastEventId = event.id;
        const read = readEvent(target, { route: args.route, event, validate: options.validate ?? true });
        if (read) yield (await target.sealer?.answer(args.route, { input: args.input, value: read })) ?? read;
      }
      cursor.retryMs = parser.retryMs() ?? cursor.retryMs;
    }
  } finally {
    silence.stop();
  }
}

/** The chunks of a body, read with a reader: not every browser's streams are async iterable. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function isFinalFailure(failure: unknown): boolean {
  return (failure instanceof Problem || failure instanceof UnexpectedAnswer) && !mayPass(failure);
}

/**
 * The events of a stream from the beginning or after `lastEventId`, each once and in order. It reconnects automatically. It
 * ends after the event `end`, if the stream has one.
 * @throws Problem such as `run-not-found`; `StreamInterrupted` if it cannot reconnect; the signal's reason.
 */
export async function* streamRoute(
  target: Target,
  args: { route: Route; input: LooseInput; options: StreamOptions },
): AsyncGenerator<LooseEvent, void, undefined> {
  const { options } = args;
  const cursor: Cursor = { lastEventId: options.lastEventId ?? null, retryMs: null };
  const path = pathOf(args.route, args.input);
  const limit = options.reconnects ?? DEFAULT_RECONNECTS;
  for (let quiet = 0; quiet <= limit; quiet++) {
    let failure: unknown;
    try {
      for await (const event of connectOnce(target, { ...args, path, cursor })) {
        quiet = 0;
        yield event;
        if (event.event === "end") return;
      }
    } catch (caught) {
      if (isAbortOf(options.signal)) throw options.signal?.reason;
      if (isFinalFailure(caught)) throw caught;
      failure = caught;
    }
    if (quiet === limit)
      throw new StreamInterrupted(
        cursor.lastEventId,
        failure ?? new ConnectionFailure(target.url, { timedOut: false, cause: undefined }),
      );
    const ms = pauseMs(failure, quiet);
    if (ms === null) throw failure;
    await pause(Math.max(ms, cursor.retryMs ?? 0), options.signal);
  }
}
