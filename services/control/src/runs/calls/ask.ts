import { type AskedWait, type CalledRun, type CalledWait, LIMITS, Problem } from "@towpath/contract";
import { type Deps, type Tx, writeChanges } from "../../kernel/index.ts";
import { markDependents, noteEnds, waitChanges } from "../dependents/store.ts";
import { findKnownRun } from "../history/kept-children.ts";
import { intendJob } from "../jobs/ask.ts";
import { hasEnded } from "../moves/state.ts";
import type { AttemptRow } from "../table.ts";
import { eventFor } from "../waits/events.ts";
import { lockEvents } from "../waits/events-store.ts";
import { settleWaits } from "../waits/resume.ts";
import {
  countWaits,
  findWaitNow,
  insertWait,
  lockWait,
  lockWaiting,
  noteAnswer,
  saveAsker,
  type WaitNow,
} from "../waits/store.ts";

/** A running flow's question about the state of one of its waits. */
export interface Asking {
  /** Its attempt. The caller holds its lock and has checked its fence. */
  readonly held: AttemptRow;
  readonly callId: string;
  readonly path: string;
  readonly asked: AskedWait;
}

/** Precedes all other locks of the transaction that asks. */
export async function lockForAsking(tx: Tx, args: { workspaceId: string; asked: AskedWait }): Promise<void> {
  const { asked, workspaceId } = args;
  if (asked.kind === "event") await lockEvents(tx, { workspaceId, name: asked.name, as: "asker" });
}

/**
 * Returns the state of a wait, and creates the wait on the first call. Later calls change nothing, whatever they
 * contain. Time, events and ends that already happened settle the wait at once. The attempt gets a command when the
 * wait settles later.
 * @throws Problem `forbidden` if the run is being stopped; `too-many-waits`; `run-not-found` for another run.
 */
export async function askWait(tx: Tx, deps: Deps, args: Asking): Promise<WaitNow> {
  const { workspaceId, runId } = args.held;
  const name = { workspaceId, runId, waitId: args.callId };
  if ((await findWaitNow(tx, deps.clock, name)) === null) await make(tx, deps, args);
  const known = await findWaitNow(tx, deps.clock, name);
  const by = known && dueBy(known);
  if (by) await settleWaits(tx, deps, { workspaceId, waits: [{ id: args.callId, runId, by }] });
  const row = await lockWait(tx, deps.clock, name);
  if (row === null) throw new Problem("wait-not-found", `There is no wait ${args.callId}; repeat the call.`);
  const attemptId = row.state === "open" ? args.held.id : null;
  if (row.askedBy !== attemptId) await saveAsker(tx, { workspaceId, waitId: row.id, attemptId });
  return row;
}

/** Settles an open wait whose time or deadline has passed. */
function dueBy({ state, inMs, leftMs }: WaitNow): "satisfy" | "expire" | null {
  if (state !== "open") return null;
  if (inMs !== null && inMs <= 0 && (leftMs === null || inMs <= leftMs)) return "satisfy";
  return leftMs !== null && leftMs <= 0 ? "expire" : null;
}

async function make(tx: Tx, deps: Deps, args: Asking): Promise<void> {
  const { held, callId, path, asked } = args;
  const { workspaceId, runId } = held;
  if (held.state !== "running")
    throw new Problem("forbidden", "The run is being stopped, so it cannot start a wait.");
  const other = asked.kind === "run" ? asked.runId : null;
  if (other === runId) throw new Problem("forbidden", "A run cannot wait for its own end.");
  if (other !== null && (await findKnownRun(tx, { workspaceId, runId: other })) === null)
    throw new Problem("run-not-found", `There is no run ${other}.`);
  const count = await countWaits(tx, { workspaceId, runId, max: LIMITS.waits });
  if (count >= LIMITS.waits)
    throw new Problem(
      "too-many-waits",
      `A run can have at most ${LIMITS.waits} waits. Start another run for the rest.`,
    );
  const runIds = other === null ? [runId] : [runId, other];
  const locked = await lockWaiting(tx, { workspaceId, runIds });
  await markDependents(tx, { workspaceId, runIds });
  await insertWait(tx, deps.clock, { workspaceId, runId, id: callId, path, asked });
  await writeChanges(tx, waitChanges([{ workspaceId, runId }]));
  const live = locked.find((one) => one.id === other);
  if (other !== null && (live === undefined || hasEnded(live)))
    await noteEnds(tx, deps.clock, { workspaceId, runIds: [other] });
  if (asked.kind === "job") await intendJob(tx, deps, { held, jobId: callId, asked });
  const createdAt = locked.find((one) => one.id === runId)?.createdAt;
  if (asked.kind !== "event" || createdAt === undefined) return;
  const found = await eventFor(tx, deps, {
    workspaceId,
    runId,
    name: asked.name,
    key: asked.key ?? null,
    lookBackMs: asked.lookBackMs ?? null,
    runCreatedAt: createdAt,
    schema: asked.schema,
  });
  if (found === null) return;
  const { payload, sentBy, id } = found;
  await noteAnswer(tx, deps.clock, {
    workspaceId,
    waitId: callId,
    answer: payload,
    answeredBy: sentBy,
    eventId: id,
  });
}

/** A wait as its flow sees it. */
export function calledWaitOf(row: WaitNow, run: CalledRun | null): CalledWait {
  const { state, answer, answeredBy } = row;
  const isOpen = state === "open";
  return {
    waitId: row.id,
    state,
    run,
    inMs: isOpen && row.inMs !== null ? Math.max(0, Math.ceil(row.inMs)) : null,
    answer: state === "satisfied" ? answer : null,
    answeredBy: state === "satisfied" ? answeredBy : null,
  };
}
