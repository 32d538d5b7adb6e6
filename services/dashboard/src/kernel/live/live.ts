import { FeedChanges, isProblemCode, Problem, RunEvent } from "@towpath/contract";
import { useSyncExternalStore } from "react";
import { openedEvent } from "../client.ts";
import { nowMs } from "./clock.ts";
import { type Connection, type FromHub, type Hear, type HubLink, liveAs, type ToHub } from "./messages.ts";

/** A listener of one run. */
export interface RunListener {
  /** Called with the events of one message. `begins`: they start from the beginning and replace the earlier ones. */
  told(events: readonly RunEvent[], begins: boolean): void;
  refused(problem: unknown): void;
}

/** Changes before this position of the feed were missed: anything may have changed. */
export interface Missed {
  readonly feedId: string;
}

type ChangeListener = (changes: FeedChanges | Missed) => void;

/** This tab's view of the browser's one stream. The first listener opens it. */
class Live {
  #link: HubLink | null = null;
  readonly #tab: string = crypto.randomUUID?.() ?? `${nowMs()} ${Math.random()}`;
  readonly #runs = new Map<string, Set<RunListener>>();
  readonly #changeListeners = new Set<ChangeListener>();
  readonly #standingListeners = new Set<() => void>();
  #standing: Connection = { state: "opening", sinceMs: nowMs() };
  /** Runs with events that a hidden tab skipped. They are sent again when the tab becomes visible. */
  readonly #missed = new Set<string>();
  /** Messages of a run wait for sealed values of earlier ones, so that they stay in order. */
  readonly #opening = new Map<string, Promise<void>>();

  standing = (): Connection => this.#standing;

  watchConnection = (listener: () => void): (() => void) => {
    this.#standingListeners.add(listener);
    this.#open();
    return () => this.#standingListeners.delete(listener);
  };

  onChanges(listener: ChangeListener): () => void {
    this.#changeListeners.add(listener);
    this.#open();
    return () => this.#changeListeners.delete(listener);
  }

  follow(runId: string, listener: RunListener): () => void {
    const there = this.#runs.get(runId);
    const listeners = there ?? new Set();
    this.#runs.set(runId, listeners.add(listener));
    this.#open();
    this.#say(there === undefined ? null : runId);
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#runs.get(runId) !== listeners) return;
      this.#runs.delete(runId);
      this.#say(null);
    };
  }

  #open(): void {
    if (this.#link !== null) return;
    this.#link = openLink(this.#tab, (message) => this.#hear(message));
    document.addEventListener("visibilitychange", () => this.#catchUp());
    this.#say(null);
    window.addEventListener("pagehide", () => this.#link?.say({ type: "bye" }));
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.#say(null));
  }

  #say(again: string | null): void {
    this.#link?.say({ type: "follow", tab: this.#tab, runs: [...this.#runs.keys()], again });
  }

  #hear(message: FromHub): void {
    if (message.type === "standing") {
      this.#standing = message.standing;
      for (const listener of [...this.#standingListeners]) listener();
      return;
    }
    if (message.type === "news" || message.type === "missed") {
      const changes = message.type === "missed" ? message : FeedChanges.parse(message.changes);
      for (const listener of [...this.#changeListeners]) listener(changes);
      return;
    }
    const draws = document.visibilityState !== "hidden" || message.type !== "run" || message.begins;
    if (draws) this.#tellRun(message);
    else this.#missed.add(message.runId);
  }

  #catchUp(): void {
    if (document.visibilityState === "hidden") return;
    for (const runId of this.#missed) if (this.#runs.has(runId)) this.#say(runId);
    this.#missed.clear();
  }

  #tellRun(message: Extract<FromHub, { runId: string }>): void {
    const { runId } = message;
    const events = message.type === "run" ? message.events.flatMap((event) => checked(event)) : [];
    const earlier = this.#opening.get(runId);
    const delivered = Promise.all([
      Promise.all(events.map((event) => openedEvent(runId, event))),
      earlier,
    ]).then(([opened]) => this.#deliver(message, opened));
    this.#opening.set(runId, delivered);
    void delivered.finally(() => this.#opening.get(runId) === delivered && this.#opening.delete(runId));
  }

  #deliver(message: Extract<FromHub, { runId: string }>, events: readonly RunEvent[]): void {
    const listeners = [...(this.#runs.get(message.runId) ?? [])];
    if (message.type === "run") {
      for (const listener of listeners) listener.told(events, message.begins);
    } else {
      const { code, detail } = message;
      const problem = new Problem(isProblemCode(code) ? code : "internal", detail);
      for (const listener of listeners) listener.refused(problem);
    }
  }
}

/** A newer server may send events that this page does not know. */
function checked(event: RunEvent): RunEvent[] {
  const parsed = RunEvent.safeParse(event);
  return parsed.success ? [parsed.data] : [];
}

const live = new Live();

/**
 * Follows a run over the browser's one stream.
 * @returns A function that stops it.
 */
export function followRun(runId: string, listener: RunListener): () => void {
  return live.follow(runId, listener);
}

/**
 * Listens to changes of the workspace.
 * @returns A function that stops it.
 */
export function onChanges(listener: ChangeListener): () => void {
  return live.onChanges(listener);
}

/** The status of the stream. */
export function useConnection(): Connection {
  return useSyncExternalStore(live.watchConnection, live.standing);
}

/** A link to a hub in a shared worker, which lives as long as any tab does. */
function workerLink(tab: string, hear: Hear): HubLink {
  const worker = new SharedWorker(new URL("./shared-worker.ts", import.meta.url), {
    type: "module",
    name: "towpath-live",
  });
  worker.port.onmessage = ({ data }: MessageEvent<FromHub>) => hear(data);
  liveAs(tab);
  return { say: (message) => worker.port.postMessage(message) };
}

/**
 * A link for browsers without shared workers, loaded when it is needed. Until then only the last message is kept: it
 * replaces the earlier ones.
 */
function loadedLink(tab: string, hear: Hear): HubLink {
  let last: ToHub | null = null;
  let line: HubLink | null = null;
  void import("./elected.ts").then(({ openElected }) => {
    line = openElected(tab, hear);
    if (last !== null) line.say(last);
  });
  return {
    say(message) {
      last = message;
      line?.say(message);
    },
  };
}

/** Opens the best link that this browser supports. Messages arrive later, never during the call. */
function openLink(tab: string, hear: Hear): HubLink {
  return typeof SharedWorker === "function" ? workerLink(tab, hear) : loadedLink(tab, hear);
}
