import type { Artifact, RunSummary } from "@towpath/contract";
import { WakeUp } from "@towpath/contract";
import { type Change, type Deps, readPosition, type Scope, type StreamEvent } from "../../kernel/index.ts";
import { getRunSummary } from "../../runs/index.ts";
import { reachesBackTo } from "../store/read.ts";
import type { Batches, FollowCursor, LogMode } from "./batch.ts";
import { cursorOf, idOf, isOf } from "./event-id.ts";
import { whileSameDatabase } from "./same-database.ts";
import { readSnapshot, untilLast } from "./snapshot.ts";

/** How often a follower reads without a wake, in case one was lost, milliseconds. */
const LOOK_MS = 1_000;

/** How long one connection lasts, milliseconds. Its reader connects again, so that a revoked key loses access. */
export const CONNECTION_MS = 10 * 60_000;

/** A request to follow a run. */
export interface FollowRequest {
  readonly runId: string;
  /** `Last-Event-ID` of the previous stream, if any. */
  readonly lastEventId: string | null;
  readonly signal: AbortSignal;
  readonly batches: Batches;
  /** What the stream has of the log. @default "lines" */
  readonly log?: LogMode;
  /** How long one connection lasts. @default ten minutes */
  readonly connectionMs?: number;
}

/**
 * Follows a run: its present state, then its changes and log lines, until the run has ended and all of them were sent. With
 * `Last-Event-ID` the stream continues after that event, and nothing is sent twice. If the feed no longer has that position,
 * or the database was restored since, an event `begin` comes first and the stream starts over.
 * @throws Problem `run-not-found` or `too-many-requests`, before the stream begins.
 */
export async function followRun(
  deps: Deps,
  scope: Pick<Scope, "workspaceId">,
  args: FollowRequest,
): Promise<AsyncIterable<StreamEvent>> {
  args.batches.admit(scope.workspaceId);
  const summary = await getRunSummary(deps, scope, { runId: args.runId });
  return events(deps, { ...args, workspaceId: scope.workspaceId, summary });
}

async function* events(
  deps: Deps,
  args: FollowRequest & { workspaceId: string; summary: RunSummary },
): AsyncGenerator<StreamEvent> {
  const same = whileSameDatabase(deps, args.signal);
  const { signal } = same;
  const { workspaceId, runId, batches, lastEventId } = args;
  const wakeUp = new WakeUp();
  const summary = () => getRunSummary(deps, { workspaceId }, { runId });
  const untilMs = performance.now() + (args.connectionMs ?? CONNECTION_MS);
  batches.enter(workspaceId);
  const unsubscribe = deps.wakes.subscribe("run", runId, () => wakeUp.wake());
  try {
    const incarnation = (await deps.incarnations.current()).id;
    const id = (at: FollowCursor) => idOf(at, incarnation);
    let cursor = isOf(incarnation, lastEventId) ? await resumed(deps, lastEventId) : null;
    if (cursor === null) {
      if (lastEventId !== null) yield { event: "begin", data: {} };
      const position = await readPosition(deps.database.reads);
      cursor = { position, log: { attempt: 0, line: 0 } };
      yield* untilLast(readSnapshot(deps, { workspaceId, runId, summary }), id(cursor));
    }
    while (!signal.aborted && performance.now() < untilMs) {
      const batch = await batches.read(deps, { workspaceId, runId, cursor, log: args.log ?? "lines" });
      for (const change of batch.changes) {
        cursor = { ...cursor, position: change.position };
        const event = eventOf(change, {
          summary: args.summary,
          artifact: batch.artifacts.get(change.position),
        });
        if (event !== null) yield { ...event, id: id(cursor) };
      }
      cursor = batch.next;
      if (batch.entries.length > 0) yield { id: id(cursor), event: "log", data: batch.entries };
      if (batch.end !== null) yield { id: id(cursor), event: "log-end", data: batch.end };
      if (batch.ended !== null) {
        yield { id: id(cursor), event: "end", data: { state: batch.ended } };
        return;
      }
      if (!batch.full) await wakeUp.wait(LOOK_MS, signal);
    }
    // A last event, so that the reader sees an orderly end and connects again.
    if (!signal.aborted) yield { id: id(cursor), event: "run", data: await summary() };
  } finally {
    batches.leave(workspaceId);
    unsubscribe();
    same.stop();
  }
}

async function resumed(deps: Deps, lastEventId: string | null): Promise<FollowCursor | null> {
  const cursor = cursorOf(lastEventId);
  return cursor !== null && (await reachesBackTo(deps.database.reads, cursor.position)) ? cursor : null;
}

/** A change as an event. A change of a run is completed with the fields that never change. Null: not for followers. */
function eventOf(
  change: Change,
  args: { summary: RunSummary; artifact: Artifact | undefined },
): StreamEvent | null {
  if (change.kind === "run") return { event: "run", data: { ...args.summary, labels: [], ...change.data } };
  if (change.kind === "task") return { event: "task", data: change.data };
  return args.artifact === undefined ? null : { event: "artifact", data: args.artifact };
}
