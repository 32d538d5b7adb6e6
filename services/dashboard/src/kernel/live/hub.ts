import type { RunEvent } from "@towpath/contract";
import { backoffMs } from "@towpath/contract/words";
import type { Ending, FedEvent, Opening } from "./connection.ts";
import type { FromHub, Standing, ToHub } from "./messages.ts";
import { RunSoFar } from "./run-so-far.ts";

/** Before the next try to connect. */
const BACKOFF = { firstMs: 250, mostMs: 4_000 } as const;

/** How long the hub waits for more tabs to say what they follow before it opens another connection, milliseconds. */
const GATHER_MS = 20;

/** Runs that one connection follows at most; a browser that shows more follows those it opened last. */
const RUNS_MAX = 32;

/** A tab as the hub sees it. */
export interface Tab {
  post(message: FromHub): void;
}

/** What a hub is given. */
export interface HubDeps {
  /** Opens the stream once and reads it to its end. */
  readonly open: (opening: Opening) => Promise<Ending>;
  readonly nowMs: () => number;
  /** Waits; ends early with the signal. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  /** A number from 0 to 1. */
  readonly random: () => number;
}

/**
 * The one connection of a browser: tabs come and go and say which runs they follow; changes, runs and how the connection
 * stands are told to those whom they concern. Another set of runs is another connection, which goes on where the one
 * before stood. A tab that joins later is told what the others have been told.
 */
export class Hub {
  readonly #deps: HubDeps;
  readonly #tabs = new Map<Tab, readonly string[]>();
  readonly #told = new Map<string, RunSoFar>();
  #standing: Standing;
  #lastEventId: string | null = null;
  #change = new AbortController();
  #running = false;

  constructor(deps: HubDeps) {
    this.#deps = deps;
    this.#standing = { state: "opening", sinceMs: deps.nowMs() };
  }

  /** Hears a tab. Its first word makes it known, and tries again at once when nobody was signed in or the stream was lost. */
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

  /** A tab has gone. */
  leave(tab: Tab): void {
    if (this.#tabs.delete(tab)) this.#settle({ again: false });
  }

  /** The browser says that the network is there again. */
  retry(): void {
    if (this.#standing.state === "lost") this.#change.abort();
  }

  /** Forgets runs that nobody follows, and opens another connection where more are followed or the next try can be now. */
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
      // Tabs that open together say what they follow one after the other.
      await this.#deps.pause(GATHER_MS, new AbortController().signal);
      if (this.#tabs.size === 0) break;
      this.#change = new AbortController();
      const { signal } = this.#change;
      const ending = await this.#open(signal);
      if (this.#standing.state === "live" || signal.aborted) tries = 0;
      if (signal.aborted) continue;
      if (ending !== "ended") this.#stand(ending);
      // Who is signed out stays so until a tab says something.
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

  #stand(state: Standing["state"]): void {
    const was = this.#standing;
    if (state === "live") {
      // Only the time of the last sign of life moves: tabs hear of it when it was the last.
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
        if (!event.data.resumed) this.#tell({ type: "news", changes: null });
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

/** Tells a tab all that has been told of a run. */
function tellAll(tab: Tab, args: { runId: string; told: RunSoFar }): void {
  const { runId, told } = args;
  if (told.refusal !== null) tab.post({ type: "refused", runId, ...told.refusal });
  else tab.post({ type: "run", runId, begins: true, events: told.events() });
}
