import { setTimeout as delay } from "node:timers/promises";
import { CHANGED_RUNS_MAX, type FeedEvent, Problem, WakeUp } from "@towpath/contract";
import { type Deps, readPosition, type Scope, type StreamEvent } from "../../kernel/index.ts";
import { reachesBackTo } from "../store/read.ts";
import type { Batches, LogMode } from "./batch.ts";
import { changesIdOf, isOf, placeOf, positionOf, textOf } from "./event-id.ts";
import { CONNECTION_MS, followRun } from "./follow.ts";
import { merge } from "./merge.ts";
import { whileSameDatabase } from "./same-database.ts";

/** How often a reader of changes looks by itself, in case a wake was lost, milliseconds. */
const LOOK_MS = 5_000;

/**
 * The pause between two pieces of changes, milliseconds: with a thousand runs a second one piece stands for dozens of
 * changes, and those who are told of it fetch once.
 */
const REST_MS = 40;

/** Which workspace and runs a stream tells of, and from where. */
export interface Feeding {
  /** `Last-Event-ID` of the stream before, if there was one: a position of the feed. Places of runs are of the same database as it. */
  readonly lastEventId: string | null;
  /** What is told of the logs of these runs. @default "lines" */
  readonly log?: LogMode;
  readonly runs: readonly { readonly runId: string; readonly place: string | null }[];
  readonly signal: AbortSignal;
  readonly batches: Batches;
  /** How long one connection lasts. @default ten minutes */
  readonly connectionMs?: number;
}

/** Whose changes are read, and until when. */
interface Reading extends Feeding {
  readonly workspaceId: string;
  readonly untilMs: number;
  readonly incarnation: string;
}

/**
 * One stream for all that a browser shows: changes of the workspace, and the events of the runs that it follows. The first
 * event says whether it goes on where `Last-Event-ID` stood. A run that cannot be followed is told so and does not end
 * the stream.
 * @throws Problem `too-many-requests`, before the stream begins.
 */
export async function followWorkspace(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: Feeding,
): Promise<AsyncIterable<StreamEvent>> {
  args.batches.admit(scope.workspaceId);
  return feed(deps, {
    ...args,
    workspaceId: scope.workspaceId,
    untilMs: performance.now() + (args.connectionMs ?? CONNECTION_MS),
  });
}

async function* feed(deps: Deps, asked: Omit<Reading, "incarnation">): AsyncGenerator<StreamEvent> {
  const over = new AbortController();
  const same = whileSameDatabase(deps, asked.signal);
  const signal = AbortSignal.any([same.signal, over.signal]);
  asked.batches.enter(asked.workspaceId);
  try {
    const a = { ...asked, incarnation: (await deps.incarnations.current()).id };
    const changes = changesOf(deps, { ...a, signal });
    const opened = await changes.next();
    if (opened.done === true) return;
    yield opened.value;
    const lasting = async function* () {
      yield* changes;
      // The changes last as long as the connection does: with them the runs end too.
      over.abort();
    };
    const runs = a.runs.map((run) => followed(deps, { ...a, ...run, signal }));
    yield* merge([lasting(), ...runs], signal);
  } finally {
    over.abort();
    same.stop();
    asked.batches.leave(asked.workspaceId);
  }
}

/** A position of the feed from which changes can go on, or null. */
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
    yield eventOf(changesIdOf(position, args.incarnation), {
      event: "open",
      data: { resumed: from !== null },
    });
    while (!args.signal.aborted && performance.now() < args.untilMs) {
      const changes = await args.batches.changes(deps, { workspaceId: args.workspaceId, after: position });
      if (changes.position > position) {
        position = changes.position;
        const runs = changes.runs.slice(0, CHANGED_RUNS_MAX);
        const data = { kinds: [...changes.kinds], runs, more: runs.length < changes.runs.length };
        yield eventOf(changesIdOf(position, args.incarnation), { event: "news", data });
      }
      if (changes.full) continue;
      await wakeUp.wait(Math.min(LOOK_MS, Math.max(0, args.untilMs - performance.now())), args.signal);
      await delay(REST_MS, undefined, { signal: args.signal }).catch(() => {});
    }
  } finally {
    unsubscribe();
  }
}

/** A run's events with its name, until it has ended or cannot be followed. */
async function* followed(
  deps: Deps,
  args: Reading & { runId: string; place: string | null },
): AsyncGenerator<StreamEvent> {
  const { runId } = args;
  try {
    const place = isOf(args.incarnation, args.lastEventId) ? placeOf(args.place) : null;
    const goesOn = place !== null && (await reachesBackTo(deps.database.reads, place.position));
    const lastEventId = goesOn ? args.place : null;
    const log = args.log ?? "lines";
    const following = {
      log,
      runId,
      lastEventId,
      signal: args.signal,
      batches: args.batches,
      connectionMs: CONNECTION_MS,
    };
    let begins = !goesOn;
    for await (const { id = null, ...told } of await followRun(deps, args, following)) {
      begins ||= told.event === "begin";
      if (told.event === "begin") continue;
      // In the words of every release: which database it is of, the id of the stream says.
      const at = placeOf(id);
      yield { event: "followed", data: { runId, place: at && textOf(at), begins, told } };
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
