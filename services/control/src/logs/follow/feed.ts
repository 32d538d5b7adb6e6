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
  a: Feeding,
): Promise<AsyncIterable<StreamEvent>> {
  a.batches.admit(scope.workspaceId);
  return feed(deps, {
    ...a,
    workspaceId: scope.workspaceId,
    untilMs: performance.now() + (a.connectionMs ?? CONNECTION_MS),
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

async function* changesOf(deps: Deps, a: Reading): AsyncGenerator<StreamEvent> {
  const wakeUp = new WakeUp();
  const unsubscribe = deps.wakes.subscribe("change", a.workspaceId, () => wakeUp.wake());
  try {
    const from = await resumed(deps, a);
    let position = from ?? (await readPosition(deps.database.reads));
    yield eventOf(changesIdOf(position, a.incarnation), { event: "open", data: { resumed: from !== null } });
    while (!a.signal.aborted && performance.now() < a.untilMs) {
      const changes = await a.batches.changes(deps, { workspaceId: a.workspaceId, after: position });
      if (changes.position > position) {
        position = changes.position;
        const runs = changes.runs.slice(0, CHANGED_RUNS_MAX);
        const data = { kinds: [...changes.kinds], runs, more: runs.length < changes.runs.length };
        yield eventOf(changesIdOf(position, a.incarnation), { event: "news", data });
      }
      if (changes.full) continue;
      await wakeUp.wait(Math.min(LOOK_MS, Math.max(0, a.untilMs - performance.now())), a.signal);
      await delay(REST_MS, undefined, { signal: a.signal }).catch(() => {});
    }
  } finally {
    unsubscribe();
  }
}

/** A run's events with its name, until it has ended or cannot be followed. */
async function* followed(
  deps: Deps,
  a: Reading & { runId: string; place: string | null },
): AsyncGenerator<StreamEvent> {
  const { runId } = a;
  try {
    const place = isOf(a.incarnation, a.lastEventId) ? placeOf(a.place) : null;
    const goesOn = place !== null && (await reachesBackTo(deps.database.reads, place.position));
    const lastEventId = goesOn ? a.place : null;
    const log = a.log ?? "lines";
    const following = {
      log,
      runId,
      lastEventId,
      signal: a.signal,
      batches: a.batches,
      connectionMs: CONNECTION_MS,
    };
    let begins = !goesOn;
    for await (const { id = null, ...told } of await followRun(deps, a, following)) {
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
