import { sseParser } from "@towpath/client/sse";
import type { FeedEvent } from "@towpath/contract";

/** A connection without data or keep-alive comments for this long is lost, milliseconds. */
const IDLE_MS = 40_000;

/** An event with the id that resumes the stream after it. Empty if it has none. */
export type FedEvent = FeedEvent & { readonly id: string };

/** The arguments of one connection. */
export interface Opening {
  readonly lastEventId: string | null;
  readonly runs: readonly { readonly runId: string; readonly place: string | null }[];
  readonly signal: AbortSignal;
  /** Called with the events of one chunk. The list is empty for a keep-alive. */
  readonly onEvents: (events: readonly FedEvent[]) => void;
}

/** How a connection ended. `ended`: the server closed it as planned, and the next one resumes. */
export type Ending = "ended" | "lost" | "signed-out";

/** The address of the stream for these runs. */
function pathOf(runs: Opening["runs"]): string {
  const wanted = runs.map(({ runId, place }) => (place === null ? runId : `${runId}@${place}`));
  // The stream sends only the length of logs. Pages read the lines that are in view.
  return wanted.length === 0 ? "/api/events" : `/api/events?log=end&runs=${wanted.join(",")}`;
}

/**
 * Opens the stream once and reads it to its end. It runs in the shared worker, which must load fast: it only parses,
 * and the tabs validate.
 */
export async function openFeed(opening: Opening): Promise<Ending> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), IDLE_MS);
  const signal = AbortSignal.any([opening.signal, silence.signal]);
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (opening.lastEventId !== null) headers["last-event-id"] = opening.lastEventId;
  try {
    const response = await fetch(pathOf(opening.runs), { headers, signal, cache: "no-store" });
    if (response.status === 401) return "signed-out";
    if (!response.ok || response.body === null) return "lost";
    const reader = response.body.getReader();
    const parser = sseParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return "ended";
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), IDLE_MS);
      opening.onEvents(parser.push(value).map(eventOf));
    }
  } catch {
    return "lost";
  } finally {
    clearTimeout(timer);
  }
}

/** Casts an event. The tabs validate it. */
function eventOf({ event, data, id }: { event: string; data: string; id: string }): FedEvent {
  return { event, data: JSON.parse(data), id } as FedEvent;
}
