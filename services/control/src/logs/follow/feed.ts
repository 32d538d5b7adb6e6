import { setTimeout as delay } from "node:timers/promises";
import { CHANGED_RUNS_MAX, type FeedEvent, Problem, WakeUp } from "@towpath/contract";
import { type Deps, feedIdOf, readPosition, type Scope, type StreamEvent } from "../../kernel/index.ts";
import { reachesBackTo } from "../store/read.ts";
import type { Batches, LogMode } from "./batch.ts";
import { cursorOf, isOf, positionOf, textOf } from "./event-id.ts";
import { CONNECTION_MS, followRun } from "./follow.ts";
import { merge } from "./merge.ts";
import { whileSameDatabase } from "./same-database.ts";

/** How often a reader looks for changes without a wake, in case one was lost, milliseconds. */
const LOOK_MS = 5_000;

/**
 * The pause between two summaries of changes, milliseconds. With a thousand runs a second, one summary has dozens of
 * changes, and its readers fetch once.
 */
const PAUSE_MS = 40;

/** A request for a stream: the runs that it follows, and the positions where it begins. */
export interface FeedRequest {
  /** `Last-Event-ID` of the previous stream, if any: a position of the feed. The runs' cursors are of the same database. */
  readonly lastEventId: string | null;
  /** What the stream has of the runs' logs. @default "lines" */
  readonly log?: LogMode;
  readonly runs: readonly { readonly runId: string; readonly place: string | null }[];
  readonly signal: AbortSignal;
  readonly batches: Batches;
  /** How long one connection lasts. @default ten minutes */
  readonly connectionMs?: number;
}

/** A stream's workspace, end and database. */
interface Reading extends FeedRequest {
  readonly workspaceId: string;
  readonly untilMs: number;
  readonly incarnation: string;
}

/**
 * One stream for a browser: changes of the workspace, and events of the runs that it follows. The first event says whether
 * the stream continues after `Last-Event-ID`. A run that cannot be followed gets an event `unfollowed` and does not end the
 * stream.
 * @throws Problem `too-many-requests`, before the stream begins.
 */
export async function followWorkspace(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: FeedRequest,
): Promise<AsyncIterable<StreamEvent>> {
  args.batches.admit(scope.workspaceId);
  return feed(deps, {
    ...args,
    workspaceId: scope.workspaceId,
    untilMs: performance.now() + (args.connectionMs ?? CONNECTION_MS),
  });
}

async function* feed(deps: Deps, args: Omit<Reading, "incarnation">): AsyncGenerator<StreamEvent> {
  const over = new AbortController();
  const same = whileSameDatabase(deps, args.signal);
  const signal = AbortSignal.any([same.signal, over.signal]);
  args.batches.enter(args.workspaceId);
  try {
    const reading = { ...args, incarnation: (await deps.incarnations.current()).id };
    const changes = changesOf(deps, { ...reading, signal });
    const opened = await changes.next();
    if (opened.done === true) return;
    yield opened.value;
    const lasting = async function* () {
      yield* changes;
      // The changes end with the connection, and so must the runs.
      over.abort();
    };
    const runs = reading.runs.map((run) => followed(deps, { ...reading, ...run, signal }));
    yield* merge([lasting(), ...runs], signal);
  } finally {
    over.abort();
    same.stop();
    args.batches.leave(args.workspaceId);
  }
}

/** The position of the feed after which changes can continue, or null. */
async function resumed(deps: Deps, { lastEventId, incarnation }: Reading): Promise<number | null> {
  const position = isOf(incarnation, lastEventId) ? positionOf(lastEventId) : null;
  return position !== null && (await reachesBackTo(deps.database.reads, position)) ? position : null;
}

async function* changesOf(deps: Deps, args: Reading): AsyncGenerator<StreamEvent> {
  const wakeUp = new WakeUp();
  const unsubscribe = deps.wakes.subscribe("change", args.workspaceId, () => wakeUp.wake());
  try {
    const from = await resumed(deps, args);
    let position = from ?? (await readPosition(deps.database.reads));
    yield eventOf(feedIdOf(position, args.incarnation), {
      event: "open",
      data: { resumed: from !== null },
    });
    while (!args.signal.aborted && performance.now() < args.untilMs) {
      const changes = await args.batches.changes(deps, { workspaceId: args.workspaceId, after: position });
      if (changes.position > position) {
        position = changes.position;
        const runs = changes.runs.slice(0, CHANGED_RUNS_MAX);
        const data = { kinds: [...changes.kinds], runs, more: runs.length < changes.runs.length };
        yield eventOf(feedIdOf(position, args.incarnation), { event: "news", data });
      }
      if (changes.full) continue;
      await wakeUp.wait(Math.min(LOOK_MS, Math.max(0, args.untilMs - performance.now())), args.signal);
      await delay(PAUSE_MS, undefined, { signal: args.signal }).catch(() => {});
    }
  } finally {
    unsubscribe();
  }
}

/** A run's events with its id, until it has ended or cannot be followed. */
async function* followed(
  deps: Deps,
  args: Reading & { runId: string; place: string | null },
): AsyncGenerator<StreamEvent> {
  const { runId } = args;
  try {
    const cursor = isOf(args.incarnation, args.lastEventId) ? cursorOf(args.place) : null;
    const resumes = cursor !== null && (await reachesBackTo(deps.database.reads, cursor.position));
    const lastEventId = resumes ? args.place : null;
    const log = args.log ?? "lines";
    const following = {
      log,
      runId,
      lastEventId,
      signal: args.signal,
      batches: args.batches,
      connectionMs: CONNECTION_MS,
    };
    let begins = !resumes;
    for await (const { id = null, ...event } of await followRun(deps, args, following)) {
      begins ||= event.event === "begin";
      if (event.event === "begin") continue;
      // Without the incarnation, as in every release: the stream's own id has it.
      const at = cursorOf(id);
      yield { event: "followed", data: { runId, place: at && textOf(at), begins, told: event } };
      begins = false;
    }
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    yield eventOf(undefined, {
      event: "unfollowed",
      data: { runId, code: error.code, detail: error.detail },
    });
  }
}

function eventOf(id: string | undefined, event: FeedEvent): StreamEvent {
  return id === undefined ? event : { id, ...event };
}
