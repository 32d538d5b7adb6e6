import { ControlRecord, Problem, type ProblemCode, type Rejection } from "@towpath/contract";
import { sql } from "drizzle-orm";
import { type Deps, failpoint, now, type Tx } from "../../kernel/index.ts";
import { endAttempt, endUnstarted } from "../end.ts";
import { releaseAttempt } from "../release.ts";
import { attemptCan, transitionAttempt, transitionRun } from "../state.ts";
import { after } from "../store/moves.ts";
import { type AttemptRow, run } from "../table.ts";
import { cleanJson } from "../text.ts";
import { type LooseRecord, nextInSequence, readRecord, rejection } from "./records.ts";
import { applyTaskRecords, type TaskRecord } from "./tasks.ts";

/** What the control lane of one attempt's report came to. */
export interface ControlResult {
  /** The attempt after it. */
  readonly held: AttemptRow;
  readonly rejected: readonly Rejection[];
}

/**
 * Applies the control records of an attempt in order: what was acknowledged is ignored, a hole in the sequence ends the
 * round, a malformed record or an illegal move is rejected by itself. The caller holds the attempt's lock, has checked
 * the fence, and stores `controlAcked` of the row that comes back.
 */
export async function applyControl(
  tx: Tx,
  deps: Deps,
  a: { held: AttemptRow; records: readonly LooseRecord[] },
): Promise<ControlResult> {
  let { held } = a;
  const rejected: Rejection[] = [];
  const reject = (seq: number, code: ProblemCode, detail: string) =>
    rejected.push(rejection({ lane: "control", seq, code, detail }));
  let tasks: TaskRecord[] = [];
  const flush = async () => {
    for (const refused of await applyTaskRecords(tx, held, tasks)) {
      reject(
        refused.seq,
        "run-transition-not-allowed",
        `Task run ${refused.path} cannot ${refused.move} now.`,
      );
    }
    tasks = [];
  };
  for (const loose of nextInSequence(a.records, held.controlAcked)) {
    const read = readRecord(ControlRecord, loose);
    if (read.record === null) {
      reject(loose.seq, "bad-request", read.fault);
    } else if (read.record.type === "task" && held.startedAt !== null && held.endedAt === null) {
      tasks.push(cleanJson(read.record));
    } else {
      await flush();
      const refusal = await applyOne(tx, deps, held, cleanJson(read.record));
      if (refusal instanceof Problem) reject(loose.seq, refusal.code, refusal.detail);
      else held = refusal;
    }
    held = { ...held, controlAcked: loose.seq };
  }
  await flush();
  return { held, rejected };
}

/** @returns The attempt after the record, or why it is refused, in which case nothing was changed. */
async function applyOne(
  tx: Tx,
  deps: Deps,
  held: AttemptRow,
  record: ControlRecord,
): Promise<AttemptRow | Problem> {
  switch (record.type) {
    case "started":
      return start(tx, deps, held);
    case "released":
      if (attemptCan(held.state, "release")) return releaseAttempt(tx, deps, { held, reason: record.reason });
      if (held.state !== "cancelling" || held.startedAt !== null) return refusalOf(held, "be released");
      return (await endUnstarted(tx, deps, held)) ?? refusalOf(held, "be released");
    case "stage":
      return held.state === "cancelling" ? { ...held, cancelStage: record.stage } : held;
    case "ended":
      return end(tx, deps, held, record);
    case "task":
      return refusalOf(held, "run tasks");
  }
}

/** A start is recognised by its fence, which the caller has checked, before its state: repeating it changes nothing. */
async function start(tx: Tx, deps: Deps, held: AttemptRow): Promise<AttemptRow | Problem> {
  if (held.startedAt !== null) return held;
  if (!attemptCan(held.state, "start")) return refusalOf(held, "start");
  const { workspaceId } = held;
  const started = await transitionAttempt(tx, {
    ...{ workspaceId, attemptId: held.id, by: "start" },
    set: { startedAt: now(deps.clock), leaseExpiresAt: after(deps.clock, deps.config.leaseMs) },
  });
  await transitionRun(tx, {
    ...{ workspaceId, runId: held.runId, by: "start" },
    set: { startedAt: sql`coalesce(${run.startedAt}, ${now(deps.clock)})` },
  });
  failpoint("start");
  return { ...started, controlAcked: held.controlAcked, cancelStage: held.cancelStage };
}

/** A repeated end keeps the outcome that is stored, whatever it says. */
async function end(
  tx: Tx,
  deps: Deps,
  held: AttemptRow,
  record: Extract<ControlRecord, { type: "ended" }>,
): Promise<AttemptRow | Problem> {
  if (held.endedAt !== null) return held;
  const { outcome, cause, error, result, exitCode, lastBulkSeq } = record;
  const ended = await endAttempt(tx, deps, held, { outcome, cause, error, result, exitCode, lastBulkSeq });
  if (ended === null) return refusalOf(held, `end as ${outcome}`);
  failpoint("end");
  return { ...ended, controlAcked: held.controlAcked, cancelStage: held.cancelStage };
}

function refusalOf(held: AttemptRow, what: string): Problem {
  return new Problem("run-transition-not-allowed", `The attempt is ${held.state}; it cannot ${what} now.`);
}
