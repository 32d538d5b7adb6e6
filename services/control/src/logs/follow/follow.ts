import type { Artifact, RunSummary } from "@towpath/contract";
import { WakeUp } from "@towpath/contract";
import { type Change, type Deps, readPosition, type Scope, type StreamEvent } from "../../kernel/index.ts";
import { getRunSummary } from "../../runs/index.ts";
import { reachesBackTo } from "../store/read.ts";
import type { Batches, LogMode, Place } from "./batch.ts";
import { idOf, isOf, placeOf } from "./event-id.ts";
import { whileSameDatabase } from "./same-database.ts";
import { readSnapshot, untilLast } from "./snapshot.ts";

/** How often a follower looks by itself, in case a wake was lost, milliseconds. */
const LOOK_MS = 1_000;

/** How long one connection lasts, milliseconds. Its reader comes back, and so shows its key again, which may be revoked. */
export const CONNECTION_MS = 10 * 60_000;

/** Who follows which run, from where. */
export interface Following {
  readonly runId: string;
  /** `Last-Event-ID` of the stream before, if there was one. */
  readonly lastEventId: string | null;
  readonly signal: AbortSignal;
  readonly batches: Batches;
  /** What of the log is told. @default "lines" */
  readonly log?: LogMode;
  /** How long one connection lasts. @default ten minutes */
  readonly connectionMs?: number;
}

/**
 * Follows a run: how it stands, then its changes and log lines as they come, until it has ended and all was told. After
 * `Last-Event-ID` it goes on where that event stood: the same changes and the same lines follow, none twice. After an id from
 * before what the feed still holds, or from a database that has gone back since, the run is told anew, which event `begin` says first.
 * @throws Problem `run-not-found` or `too-many-requests`, before the stream begins.
 */
export async function followRun(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: Following,
): Promise<AsyncIterable<StreamEvent>> {
  args.batches.admit(scope.workspaceId);
  const summary = await getRunSummary(deps, scope, { runId: args.runId });
  return events(deps, { ...args, workspaceId: scope.workspaceId, summary });
}

async function* events(
  deps: Deps,
  asked: Following & { workspaceId: string; summary: RunSummary },
): AsyncGenerator<StreamEvent> {
  const same = whileSameDatabase(deps, asked.signal);
  const a = { ...asked, signal: same.signal };
  const wakeUp = new WakeUp();
  const summary = () => getRunSummary(deps, a, { runId: a.runId });
  const untilMs = performance.now() + (a.connectionMs ?? CONNECTION_MS);
  a.batches.enter(a.workspaceId);
  const unsubscribe = deps.wakes.subscribe("run", a.runId, () => wakeUp.wake());
  try {
    const incarnation = (await deps.incarnations.current()).id;
    const id = (at: Place) => idOf(at, incarnation);
    let place = isOf(incarnation, a.lastEventId) ? await resumed(deps, a.lastEventId) : null;
    if (place === null) {
      if (a.lastEventId !== null) yield { event: "begin", data: {} };
      const position = await readPosition(deps.database.reads);
      place = { position, log: { attempt: 0, line: 0 } };
      yield* untilLast(readSnapshot(deps, { ...a, summary }), id(place));
    }
    while (!a.signal.aborted && performance.now() < untilMs) {
      const batch = await a.batches.read(deps, {
        workspaceId: a.workspaceId,
        runId: a.runId,
        place,
        log: a.log ?? "lines",
      });
      for (const change of batch.changes) {
        place = { ...place, position: change.position };
        const told = eventOf(change, { summary: a.summary, artifact: batch.artifacts.get(change.position) });
        if (told !== null) yield { ...told, id: id(place) };
      }
      place = batch.next;
      if (batch.entries.length > 0) yield { id: id(place), event: "log", data: batch.entries };
      if (batch.end !== null) yield { id: id(place), event: "log-end", data: batch.end };
      if (batch.ended !== null) {
        yield { id: id(place), event: "end", data: { state: batch.ended } };
        return;
      }
      if (!batch.full) await wakeUp.wait(LOOK_MS, a.signal);
    }
    // The last word of a connection, so that its reader knows it for a good one and comes back.
    if (!a.signal.aborted) yield { id: id(place), event: "run", data: await summary() };
  } finally {
    a.batches.leave(a.workspaceId);
    unsubscribe();
    same.stop();
  }
}

async function resumed(deps: Deps, lastEventId: string | null): Promise<Place | null> {
  const place = placeOf(lastEventId);
  return place !== null && (await reachesBackTo(deps.database.reads, place.position)) ? place : null;
}

/** A change as an event: a run's changes completes what never changes of it. Other changes of the feed is not a follower's. */
function eventOf(
  change: Change,
  args: { summary: RunSummary; artifact: Artifact | undefined },
): StreamEvent | null {
  if (change.kind === "run") return { event: "run", data: { ...args.summary, labels: [], ...change.data } };
  if (change.kind === "task") return { event: "task", data: change.data };
  return args.artifact === undefined ? null : { event: "artifact", data: args.artifact };
}
