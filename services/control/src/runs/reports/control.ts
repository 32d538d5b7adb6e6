import { type ControlRecord, isDue, Problem } from "@towpath/contract";
import {
  afterCommit,
  type Deps,
  DUE,
  failpoint,
  inParallel,
  type Tx,
  wakeSequencer,
} from "../../kernel/index.ts";
import { repeatCancel } from "../end/cancel.ts";
import { endAttempts, endUnstarted } from "../end/end.ts";
import { releaseAttempt, releaseHook, releaseWithoutSecret } from "../lease/release.ts";
import { startAttempts, startHook } from "../lease/start.ts";
import { type PlainRecord, savePlain } from "../moves/plain.ts";
import { attemptCan } from "../moves/state.ts";
import type { AttemptRow } from "../table.ts";
import { applyTaskRecords, type TaskRecord } from "../tasks/records.ts";
import { saveRunName } from "./store.ts";

/** A control record. `lateMs`: how long before its report an end was written, milliseconds. 0: less than a second. */
export type ReportedRecord = ControlRecord & { readonly lateMs?: number };

/** The next control records of one attempt. */
export interface ControlTurn {
  /** The attempt, whose lock the caller holds and whose fence it has checked. */
  readonly held: AttemptRow;
  /** In the order of their sequence. Without NUL characters, which the database refuses. */
  readonly records: readonly ReportedRecord[];
}

/** A record that is refused, by its sequence. It changed nothing. */
export interface Refused {
  readonly seq: number;
  readonly problem: Problem;
}

/** The result of the control records of one attempt. */
export interface ControlResult {
  /** The attempt after the records. The caller stores how far its reports have come, unless `stored` has it. */
  readonly held: AttemptRow;
  /** The row that a start or end has stored, with its renewed or ended lease. Null: the records had neither. */
  readonly stored: AttemptRow | null;
  readonly refused: readonly Refused[];
}

type Started = Extract<ControlRecord, { type: "started" }>;
type Released = Extract<ControlRecord, { type: "released" }>;
type EndedRecord = Extract<ReportedRecord, { type: "ended" }>;

/**
 * Applies the control records of attempts, each attempt's in order. An illegal move is refused alone. Every run has a start and
 * an end, so one statement applies all starts that are next, and one all ends, from any number of workers.
 * @param args.turns name each attempt once.
 * @returns a result for each turn, in their order.
 */
export async function applyControls(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; turns: readonly ControlTurn[] },
): Promise<ControlResult[]> {
  const lanes = args.turns.map((turn) => new ControlLane(turn));
  let going = lanes;
  while (going.length > 0) {
    const starts: { lane: ControlLane; record: Started }[] = [];
    const ends: { lane: ControlLane; record: EndedRecord }[] = [];
    for (const lane of going) {
      const record = await lane.advance(tx, deps);
      if (record?.type === "started") starts.push({ lane, record });
      if (record?.type === "ended") ends.push({ lane, record });
    }
    const { workspaceId } = args;
    await inParallel([start(tx, deps, { workspaceId, starts }), end(tx, deps, { workspaceId, ends })]);
    going = [...starts, ...ends].map(({ lane }) => lane);
  }
  return lanes;
}

/**
 * Applies records that are the only ones of their attempts: starts and completions. Each attempt is named once. One statement
 * that is its own transaction, see `savePlain`.
 * @returns the attempts that were moved, by id. A missing attempt needs a full transaction; nothing of it has changed.
 */
export async function applyPlain(
  deps: Deps,
  args: { workspaceId: string; records: readonly PlainRecord[] },
): Promise<Map<string, { bulkAcked: number; hasEnded: boolean }>> {
  const { workspaceId, records } = args;
  if (records.length === 0) return new Map();
  // A fault here finds nothing committed, as before the commit of a transaction.
  if (records.some(({ starts }) => starts)) failpoint("start");
  if (records.some(({ starts }) => !starts)) failpoint("end");
  const { database, clock, config } = deps;
  const moved = await savePlain(database.db, clock, { workspaceId, records, leaseMs: config.leaseMs });
  if (moved.length > 0) wakeSequencer(deps);
  // A schedule or backfill may wait for this end.
  if (moved.some(({ ended }) => ended !== null && isDue(ended))) deps.wakes.publish("change", [DUE]);
  return new Map(moved.map(({ id, bulkAcked, ended }) => [id, { bulkAcked, hasEnded: ended !== null }]));
}

/** The control records of one attempt while they are applied. */
class ControlLane implements ControlResult {
  held: AttemptRow;
  stored: AttemptRow | null = null;
  readonly refused: Refused[] = [];
  readonly #rest: ReportedRecord[];

  constructor({ held, records }: ControlTurn) {
    this.held = held;
    this.#rest = records.toReversed();
  }

  /** Applies records up to the next start or end. @returns that record, for the caller to apply and settle; or null */
  async advance(tx: Tx, deps: Deps): Promise<Started | EndedRecord | null> {
    const tasks: TaskRecord[] = [];
    let next: Started | EndedRecord | null = null;
    while (next === null) {
      const record = this.#rest.pop();
      if (record === undefined) break;
      if (this.#repeats(record)) continue;
      if (record.type === "started" || record.type === "ended") next = record;
      // No statement for the tasks before it: other records do not affect tasks, and one for each would cost many.
      else if (isOfTask(record) && isExecuting(this.held)) tasks.push(record);
      else this.settle(record.seq, await applyOne(tx, deps, this.held, record));
    }
    for (const refused of await applyTaskRecords(tx, this.held, tasks)) {
      const what = refused.type === "kept" ? "keep a value" : refused.move;
      this.#refuse(refused.seq, notAllowed(`Task run ${refused.path} cannot ${what} now.`));
    }
    return next;
  }

  /** Records the outcome of a record: the attempt after it, or why it is refused. */
  settle(seq: number, outcome: AttemptRow | Problem): void {
    const { cancelStage } = this.held;
    if (outcome instanceof Problem) this.#refuse(seq, outcome);
    // A row from the database may lack the cancel stage of an earlier record in this report.
    else this.held = { ...outcome, cancelStage: outcome.cancelStage ?? cancelStage };
  }

  /** Like `settle`, for a row that a start or end has stored together with the record's sequence. */
  settleStored(seq: number, row: AttemptRow): void {
    this.settle(seq, row);
    this.stored = row;
  }

  /** Whether a record repeats a start or an end. It changes nothing: the stored outcome stays. */
  #repeats({ type }: ControlRecord): boolean {
    const { startedAt, endedAt } = this.held;
    return (type === "started" && startedAt !== null) || (type === "ended" && endedAt !== null);
  }

  #refuse(seq: number, problem: Problem): void {
    this.refused.push({ seq, problem });
  }
}

/** @returns the attempt after the record, or the reason for a refusal, which changes nothing. */
async function applyOne(
  tx: Tx,
  deps: Deps,
  held: AttemptRow,
  record: Exclude<ControlRecord, Started | EndedRecord>,
): Promise<AttemptRow | Problem> {
  switch (record.type) {
    case "released":
      return (await release(tx, deps, { held, record })) ?? refusalOf(held, "be released");
    case "stage":
      return held.state === "cancelling" ? { ...held, cancelStage: record.stage } : held;
    case "run-name":
      if (held.startedAt === null || held.endedAt !== null) return refusalOf(held, "name its run");
      await nameRun(tx, held, record.name);
      return held;
    case "task":
    case "kept":
      return refusalOf(held, "run tasks");
  }
}

/** @returns the attempt after its release, or null if its state does not allow one: nothing was changed. */
async function release(
  tx: Tx,
  deps: Deps,
  { held, record }: { held: AttemptRow; record: Released },
): Promise<AttemptRow | null> {
  const { reason, code } = record;
  if (held.hookUntil !== null && held.endedAt === null && held.startedAt === null)
    return releaseHook(tx, deps, { held, reason });
  if (!attemptCan(held.state, "release"))
    return held.state === "cancelling" && held.startedAt === null ? endUnstarted(tx, deps, held) : null;
  if (code === "secret-missing") return releaseWithoutSecret(tx, deps, { held, reason });
  return releaseAttempt(tx, deps, { held, reason });
}

/** Sets the name that a flow gives its run. Repeating it changes nothing and writes no change. */
async function nameRun(tx: Tx, { workspaceId, runId }: AttemptRow, name: string): Promise<void> {
  if (await saveRunName(tx, { workspaceId, runId, name })) afterCommit(tx, "changes of runs", wakeSequencer);
}

function isExecuting({ startedAt, endedAt }: AttemptRow): boolean {
  return startedAt !== null && endedAt === null;
}

function isOfTask(record: ControlRecord): record is TaskRecord {
  return record.type === "task" || record.type === "kept";
}

/** Starts attempts that have not started. */
async function start(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; starts: readonly { lane: ControlLane; record: Started }[] },
): Promise<void> {
  const able = args.starts.filter(
    ({ lane: { held } }) => held.hookUntil === null && attemptCan(held.state, "start"),
  );
  const starts = able.map(({ lane, record }) => ({ held: lane.held, seq: record.seq }));
  const started = await startAttempts(tx, deps, { workspaceId: args.workspaceId, starts });
  for (const { lane, record } of args.starts)
    if (lane.held.hookUntil !== null)
      for (const row of await startHook(tx, deps, { held: lane.held, seq: record.seq }))
        started.set(row.id, row);
  if (able.length > 0) failpoint("start");
  for (const { lane, record } of args.starts) {
    const row = started.get(lane.held.id);
    if (row !== undefined) lane.settleStored(record.seq, row);
    else lane.settle(record.seq, refusalOf(lane.held, "start"));
  }
}

/** Ends attempts that have not ended. */
async function end(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; ends: readonly { lane: ControlLane; record: EndedRecord }[] },
): Promise<void> {
  for (const { lane, record } of args.ends)
    if (record.outcome === "cancelled") lane.held = await repeatCancel(tx, deps, lane.held);
  const endings = args.ends.map(({ lane, record }) => {
    const { type: _type, at: _at, ...ended } = record;
    return { held: lane.held, ended };
  });
  const ended = await endAttempts(tx, deps, { workspaceId: args.workspaceId, endings });
  if (ended.size > 0) failpoint("end");
  for (const { lane, record } of args.ends) {
    const { held } = lane;
    const row = ended.get(held.id);
    if (row !== undefined) lane.settleStored(record.seq, row);
    else lane.settle(record.seq, refusalOf(held, `end as ${record.outcome}`));
  }
}

function refusalOf(held: AttemptRow, what: string): Problem {
  return notAllowed(`The attempt cannot ${what} now; its state is ${held.state}.`);
}

function notAllowed(detail: string): Problem {
  return new Problem("run-transition-not-allowed", detail);
}
