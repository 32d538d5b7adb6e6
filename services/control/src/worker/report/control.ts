import { ControlRecord, Problem, type ProblemCode, type Rejection } from "@towpath/contract";
import { cleanJson, type Deps, failpoint, inParallel, type Tx } from "../../kernel/index.ts";
import {
  applyTaskRecords,
  attemptCan,
  endAttempts,
  endUnstarted,
  nameRun,
  releaseAttempt,
  repeatCancel,
  startAttempts,
  type TaskRecord,
} from "../../runs/index.ts";
import type { AttemptRow } from "../../runs/table.ts";
import { type LooseRecord, nextInSequence, readRecord, rejection } from "./records.ts";

/** The control lane of one attempt's report. */
export interface ControlTurn {
  /** The attempt, whose lock the caller holds and whose fence it has checked. */
  readonly held: AttemptRow;
  readonly records: readonly LooseRecord[];
}

/** The result of a control lane. */
export interface ControlResult {
  /** The attempt after the records. The caller stores its `controlAcked`, unless `stored` has it. */
  readonly held: AttemptRow;
  /** The row that a start or end has stored, with its renewed or ended lease. Null: the records had neither. */
  readonly stored: AttemptRow | null;
  readonly rejected: readonly Rejection[];
}

type Started = Extract<ControlRecord, { type: "started" }>;
type EndedRecord = Extract<ControlRecord, { type: "ended" }>;

/**
 * Applies the control records of attempts, each attempt's in order. Acknowledged records are ignored, and a hole in the
 * sequence ends an attempt's round. A malformed record or an illegal move is rejected alone. Every run has a start and
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

/** The control records of one attempt while they are applied. */
class ControlLane implements ControlResult {
  held: AttemptRow;
  stored: AttemptRow | null = null;
  readonly rejected: Rejection[] = [];
  readonly #rest: LooseRecord[];

  constructor({ held, records }: ControlTurn) {
    this.held = held;
    this.#rest = nextInSequence(records, held.controlAcked).reverse();
  }

  /** Applies records up to the next start or end. @returns that record, for the caller to apply and settle; or null */
  async advance(tx: Tx, deps: Deps): Promise<Started | EndedRecord | null> {
    let tasks: TaskRecord[] = [];
    const flush = async () => {
      for (const refused of await applyTaskRecords(tx, this.held, tasks)) {
        const what = refused.type === "kept" ? "keep a value" : refused.move;
        const detail = `Task run ${refused.path} cannot ${what} now.`;
        this.#reject(refused.seq, "run-transition-not-allowed", detail);
      }
      tasks = [];
    };
    for (let loose = this.#rest.at(-1); loose !== undefined; loose = this.#rest.at(-1)) {
      const { record, fault } = readRecord(ControlRecord, loose);
      if (record === null) {
        this.#reject(loose.seq, "bad-request", fault);
        this.#take();
      } else if (isOfTask(record) && this.held.startedAt !== null && this.held.endedAt === null) {
        tasks.push(cleanJson(record));
        this.#take();
      } else if (this.#repeats(record)) {
        this.#take();
      } else if (record.type === "started" || record.type === "ended") {
        await flush();
        return cleanJson(record);
      } else {
        // No flush: these records do not affect tasks, and a flush for each would cost many statements.
        this.settle(await applyOne(tx, deps, this.held, cleanJson(record)));
      }
    }
    await flush();
    return null;
  }

  /** Records the outcome of the next record: the attempt after it, or why it is refused. */
  settle(outcome: AttemptRow | Problem): void {
    const { controlAcked, cancelStage } = this.held;
    const seq = this.#rest.at(-1)?.seq ?? controlAcked;
    if (outcome instanceof Problem) this.#reject(seq, outcome.code, outcome.detail);
    // A row from the database may lack the cancel stage of an earlier record in this report.
    else this.held = { ...outcome, cancelStage: outcome.cancelStage ?? cancelStage };
    this.#take();
  }

  /** Like `settle`, for a row that a start or end has stored together with the record's sequence. */
  settleStored(row: AttemptRow): void {
    this.settle(row);
    this.stored = row;
  }

  /** Whether a record repeats a start or an end. It changes nothing: the stored outcome stays. */
  #repeats({ type }: ControlRecord): boolean {
    const { startedAt, endedAt } = this.held;
    return (type === "started" && startedAt !== null) || (type === "ended" && endedAt !== null);
  }

  #take(): void {
    const taken = this.#rest.pop();
    if (taken !== undefined) this.held = { ...this.held, controlAcked: taken.seq };
  }

  #reject(seq: number, code: ProblemCode, detail: string): void {
    this.rejected.push(rejection({ lane: "control", seq, code, detail }));
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
      if (attemptCan(held.state, "release")) return releaseAttempt(tx, deps, { held, reason: record.reason });
      if (held.state !== "cancelling" || held.startedAt !== null) return refusalOf(held, "be released");
      return (await endUnstarted(tx, deps, held)) ?? refusalOf(held, "be released");
    case "stage":
      return held.state === "cancelling" ? { ...held, cancelStage: record.stage } : held;
    case "run-name":
      if (held.startedAt === null || held.endedAt !== null) return refusalOf(held, "name its run");
      await nameRun(tx, { workspaceId: held.workspaceId, runId: held.runId, name: record.name });
      return held;
    case "task":
    case "kept":
      return refusalOf(held, "run tasks");
  }
}

function isOfTask(record: ControlRecord): record is TaskRecord {
  return record.type === "task" || record.type === "kept";
}

/** Starts attempts. The caller has checked their fences, so a repeated start is recognised before the state is checked. */
async function start(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; starts: readonly { lane: ControlLane; record: Started }[] },
): Promise<void> {
  const able = args.starts.filter(
    ({ lane: { held } }) => held.startedAt === null && attemptCan(held.state, "start"),
  );
  const starts = able.map(({ lane, record }) => ({ held: lane.held, seq: record.seq }));
  const started = await startAttempts(tx, deps, { workspaceId: args.workspaceId, starts });
  if (able.length > 0) failpoint("start");
  for (const { lane } of args.starts) {
    const row = started.get(lane.held.id);
    if (row !== undefined) lane.settleStored(row);
    else lane.settle(lane.held.startedAt !== null ? lane.held : refusalOf(lane.held, "start"));
  }
}

/** Ends attempts. A repeated end keeps the stored outcome. */
async function end(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; ends: readonly { lane: ControlLane; record: EndedRecord }[] },
): Promise<void> {
  const open = args.ends.filter(({ lane }) => lane.held.endedAt === null);
  for (const { lane, record } of open)
    if (record.outcome === "cancelled") lane.held = await repeatCancel(tx, deps, lane.held);
  const endings = open.map(({ lane, record }) => {
    const { type: _type, at: _at, ...ended } = record;
    return { held: lane.held, ended };
  });
  const ended = await endAttempts(tx, deps, { workspaceId: args.workspaceId, endings });
  if (ended.size > 0) failpoint("end");
  for (const { lane, record } of args.ends) {
    const { held } = lane;
    const row = ended.get(held.id);
    if (row !== undefined) lane.settleStored(row);
    else lane.settle(held.endedAt !== null ? held : refusalOf(held, `end as ${record.outcome}`));
  }
}

function refusalOf(held: AttemptRow, what: string): Problem {
  return new Problem("run-transition-not-allowed", `The attempt is ${held.state}; it cannot ${what} now.`);
}
