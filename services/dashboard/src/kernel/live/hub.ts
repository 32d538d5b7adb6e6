import type { Artifact, RunEvent, TaskRun } from "@towpath/contract";
import { backoffMs } from "@towpath/contract/words";
import { nowMs } from "./clock.ts";
import { type Ending, type FedEvent, type Opening, openFeed } from "./connection.ts";
import type { Connection, FromHub, ToHub } from "./messages.ts";

/** Delays before the next connection. */
const BACKOFF = { firstMs: 250, mostMs: 4_000 } as const;

/** How long the hub waits for further tabs before it opens another connection, milliseconds. */
const GATHER_MS = 20;

/** Runs that one connection follows at most. A browser with more follows those that were opened last. */
const RUNS_MAX = 32;

/** A tab, as the hub sees it. */
export interface Tab {
  post(message: FromHub): void;
}

/** The dependencies of a hub. */
export interface HubDeps {
  /** Opens the stream once and reads it to its end. */
  readonly open: (opening: Opening) => Promise<Ending>;
  readonly nowMs: () => number;
  /** Waits. The signal ends it early. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  /** A number from 0 to 1. */
  readonly random: () => number;
}

/**
 * The one connection of a browser. Tabs say which runs they follow, and get the changes, the events of these runs, and
 * the status of the connection. If the set of runs changes, the hub opens another connection, which resumes. A tab that
 * joins later gets everything that the others got.
 */
export class Hub {
  readonly #deps: HubDeps;
  readonly #tabs = new Map<Tab, readonly string[]>();
  readonly #told = new Map<string, RunSoFar>();
  #standing: Connection;
  #lastEventId: string | null = null;
  #change = new AbortController();
  #running = false;

  constructor(deps: HubDeps) {
    this.#deps = deps;
    this.#standing = { state: "opening", sinceMs: deps.nowMs() };
  }

  /**
   * Handles a message of a tab. The first message registers the tab. If the stream is lost or nobody is signed in, it
   * also reconnects at once.
   */
  hear(tab: Tab, message: ToHub): void {
    if (message.type === "bye") {
      this.leave(tab);
      return;
    }
    const before = this.#tabs.get(tab);
    this.#tabs.set(tab, message.runs);
    if (before === undefined) tab.post({ type: "standing", standing: this.#standing });
    const unknown = message.runs.filter((runId) => !this.#told.has(runId));
    for (const runId of message.runs) {
      const told = this.#told.get(runId);
      if (told === undefined) this.#told.set(runId, new RunSoFar());
      else if (before?.includes(runId) !== true || message.again === runId) tellAll(tab, { runId, told });
    }
    const isNew = before === undefined && this.#standing.state !== "live";
    this.#settle({ again: isNew || unknown.length > 0 });
  }

  /** Removes a tab. */
  leave(tab: Tab): void {
    if (this.#tabs.delete(tab)) this.#settle({ again: false });
  }

  /** Called when the network is back. */
  retry(): void {
    if (this.#standing.state === "lost") this.#change.abort();
  }

  /**
   * Forgets runs that no tab follows. Opens another connection if there are new runs, or if a retry makes sense now.
   */
  #settle({ again }: { again: boolean }): void {
    const followed = new Set([...this.#tabs.values()].flat());
    for (const runId of this.#told.keys()) if (!followed.has(runId)) this.#told.delete(runId);
    if (again || this.#tabs.size === 0) this.#change.abort();
    if (!this.#running && this.#tabs.size > 0) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let tries = 0; this.#tabs.size > 0; ) {
      this.#change = new AbortController();
      // Tabs that open together send their runs one after another.
      await this.#deps.pause(GATHER_MS, new AbortController().signal);
      if (this.#tabs.size === 0) break;
      this.#change = new AbortController();
      const { signal } = this.#change;
      const ending = await this.#open(signal);
      if (this.#standing.state === "live" || signal.aborted) tries = 0;
      if (signal.aborted) continue;
      if (ending !== "ended") this.#stand(ending);
      // After a sign-out, only a message of a tab triggers a retry.
      const waitMs =
        ending === "signed-out" ? Number.POSITIVE_INFINITY : backoffMs(tries, BACKOFF, this.#deps.random);
      tries += 1;
      await this.#deps.pause(waitMs, signal);
    }
    this.#running = false;
  }

  #open(signal: AbortSignal): Promise<Ending> {
    const runs = [...this.#told].flatMap(([runId, { ended, place }]) => (ended ? [] : [{ runId, place }]));
    return this.#deps.open({
      lastEventId: this.#lastEventId,
      runs: runs.slice(-RUNS_MAX),
      signal,
      onEvents: (events) => {
        if (!signal.aborted) this.#take(events);
      },
    });
  }

  #stand(state: Connection["state"]): void {
    const was = this.#standing;
    if (state === "live") {
      // Tabs need the time of the last event only when the stream is lost.
      this.#standing = { state, sinceMs: this.#deps.nowMs() };
      if (was.state === "live") return;
    } else {
      if (was.state === state) return;
      this.#standing = { state, sinceMs: was.state === "live" ? was.sinceMs : this.#deps.nowMs() };
    }
    this.#tell({ type: "standing", standing: this.#standing });
  }

  #tell(message: FromHub): void {
    for (const tab of this.#tabs.keys()) tab.post(message);
  }

  #take(events: readonly FedEvent[]): void {
    this.#stand("live");
    const byRun = new Map<string, { begins: boolean; events: RunEvent[] }>();
    for (const event of events) {
      if (event.id !== "") this.#lastEventId = event.id;
      if (event.event === "open") {
        if (!event.data.resumed) this.#tell({ type: "missed", feedId: event.id });
      } else if (event.event === "news") this.#tell({ type: "news", changes: event.data });
      else if (event.event === "unfollowed") this.#refuse(event.data);
      else if (event.event === "followed") this.#gather(byRun, event.data);
    }
    for (const [runId, part] of byRun) this.#tellFollowers({ type: "run", runId, ...part });
  }

  #gather(
    byRun: Map<string, { begins: boolean; events: RunEvent[] }>,
    data: Extract<FedEvent, { event: "followed" }>["data"],
  ): void {
    const { runId, begins, place, told } = data;
    if (!this.#told.has(runId)) return;
    const part = begins ? { begins, events: [] } : (byRun.get(runId) ?? { begins, events: [] });
    byRun.set(runId, part);
    part.events.push(told);
    const kept = begins ? new RunSoFar() : (this.#told.get(runId) ?? new RunSoFar());
    kept.add(told);
    kept.place = place ?? kept.place;
    this.#told.set(runId, kept);
  }

  #refuse(args: { runId: string; code: string; detail: string }): void {
    this.#tellFollowers({ type: "refused", ...args });
    const told = this.#told.get(args.runId);
    if (told !== undefined) Object.assign(told, { ended: true, refusal: args });
  }

  #tellFollowers(message: Extract<FromHub, { runId: string }>): void {
    for (const [tab, runs] of this.#tabs) if (runs.includes(message.runId)) tab.post(message);
  }
}

/** Sends a tab everything that is known of a run. */
function tellAll(tab: Tab, args: { runId: string; told: RunSoFar }): void {
  const { runId, told } = args;
  if (told.refusal !== null) tab.post({ type: "refused", runId, ...told.refusal });
  else tab.post({ type: "run", runId, begins: true, events: told.events() });
}

/** Everything known of a run, for a tab that joins later: the latest version of each thing. */
class RunSoFar {
  /** The position of the stream in this run. Null until it is known. */
  place: string | null = null;
  /** Whether all events have been sent, or the run was refused. Then it is not requested again. */
  ended = false;
  /** The reason why the run cannot be followed. */
  refusal: { readonly code: string; readonly detail: string } | null = null;
  readonly #lasts = new Map<"run" | "log-end" | "end", RunEvent>();
  readonly #tasks = new Map<string, TaskRun>();
  readonly #artifacts = new Map<string, Artifact>();

  /** Adds one event. Log lines are not kept: tabs read them when they are in view. */
  add(event: RunEvent): void {
    if (event.event === "task") this.#tasks.set(`${event.data.attemptId} ${event.data.path}`, event.data);
    else if (event.event === "artifact") this.#artifacts.set(event.data.key, event.data);
    else if (event.event !== "log") this.#lasts.set(event.event, event);
    if (event.event === "end") this.ended = true;
  }

  /** Everything as events, in a valid order. */
  events(): RunEvent[] {
    const last = (name: "run" | "log-end" | "end") => this.#lasts.get(name) ?? [];
    return [
      last("run"),
      [...this.#tasks.values()].map((data): RunEvent => ({ event: "task", data })),
      [...this.#artifacts.values()].map((data): RunEvent => ({ event: "artifact", data })),
      last("log-end"),
      last("end"),
    ].flat();
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = Number.isFinite(ms) ? setTimeout(resolve, ms) : undefined;
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Creates the hub of a shared worker or a tab. */
export function openHub(): Hub {
  const hub = new Hub({ open: openFeed, nowMs, pause, random: Math.random });
  globalThis.addEventListener("online", () => hub.retry());
  return hub;
}
