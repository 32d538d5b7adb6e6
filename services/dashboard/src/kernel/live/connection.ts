import { sseParser } from "@towpath/client/sse";
import type { FeedEvent } from "@towpath/contract";

/** Silence, keep-alive comments included, after which a connection counts as dead, milliseconds. */
const IDLE_MS = 40_000;

/** An event with the id that its stream goes on after; empty where it has none. */
export type FedEvent = FeedEvent & { readonly id: string };

/** What one connection is opened with. */
export interface Opening {
  readonly lastEventId: string | null;
  readonly runs: readonly { readonly runId: string; readonly place: string | null }[];
  readonly signal: AbortSignal;
  /** Called with what came at once, and with nothing when only a sign of life came. */
  readonly onEvents: (events: readonly FedEvent[]) => void;
}

/** How a connection ended. `ended`: in good order, by the server; the next one goes on. */
export type Ending = "ended" | "lost" | "signed-out";

/** The address of the stream for these runs. */
function pathOf(runs: Opening["runs"]): string {
  const wanted = runs.map(({ runId, place }) => (place === null ? runId : `${runId}@${place}`));
  // Pages read of a log what is looked at: the stream only says how far it goes.
  return wanted.length === 0 ? "/api/events" : `/api/events?log=end&runs=${wanted.join(",")}`;
}

/**
 * Opens the stream once and reads it to its end. Made for a worker of the browser, which should load in no time: it parses
 * what comes and leaves checking to the tabs.
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

/** Takes an event as the server wrote it: the tabs check what they are told. */
function eventOf({ event, data, id }: { event: string; data: string; id: string }): FedEvent {
  return { event, data: JSON.parse(data), id } as FedEvent;
}
