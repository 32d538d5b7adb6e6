import type { Rejection, Reported } from "@towpath/contract";
import {
  type Deps,
  failpoint,
  inTransaction,
  isConnectionLost,
  type Tx,
  type WorkerScope,
  writeChanges,
} from "../kernel/index.ts";
import {
  applyControls,
  applyPlain,
  cleanJson,
  commandsFor,
  isCurrent,
  type Late,
  type LooseRecord,
  lockReported,
  type PlainRecord,
  type Progress,
  plainRecord,
  type ReportedAttempt,
  saveReported,
  storeNewCalls,
  wakeAfterCommit,
} from "../runs/index.ts";
import type { AttemptRow } from "../runs/table.ts";
import { type BulkResult, type NewChunk, readBulk } from "./lanes.ts";
import { isOfRecords, type Lanes, salvage } from "./salvage.ts";
import { insertChunks, listArtifactKeys, type OwnedArtifact, saveArtifacts } from "./store/write.ts";
import { artifactChange } from "./wire.ts";

/** Records of one attempt, parsed by the contract as far as it does. */
export interface AttemptReport {
  readonly attemptId: string;
  readonly epoch: number;
  readonly nonce: string;
  readonly control: readonly LooseRecord[];
  readonly bulk: readonly LooseRecord[];
}

type Answer = Reported["attempts"][number];

/** What reports come to, gathered over their attempts and written at the end in a few statements. */
interface Gathered {
  readonly chunks: (NewChunk & { attemptId: string })[];
  readonly artifacts: OwnedArtifact[];
  /** By attempt: the latest counts. */
  readonly progress: Map<string, Progress & { archived: boolean }>;
  readonly late: (Late & { workerId: string })[];
  /** By attempt: the keys of its artifacts, where the report has any. */
  readonly shown: ReadonlyMap<string, Set<string>>;
}

/** The records of one attempt from one worker, and the answer to them once they were applied. */
interface Turn {
  readonly worker: WorkerScope;
  readonly report: AttemptReport;
  answer: Answer | null;
}

/**
 * Takes a worker's records of many attempts. All of it is one transaction, and what is acknowledged is committed. If
 * that fails for a reason that nobody foresaw, each attempt gets a transaction of its own, so that one cannot hold up
 * the others, and what the database refuses for its content is rejected record by record. An attempt that fails for
 * another reason is missing in the answer, and the worker sends it again. Without a database nothing is tried again here.
 */
export async function report(
  deps: Deps,
  worker: WorkerScope,
  body: { attempts: readonly AttemptReport[] },
): Promise<Reported> {
  try {
    return await reportOne(deps, { worker, attempts: body.attempts });
  } catch (error) {
    if (isConnectionLost(error) || (body.attempts.length < 2 && !isOfRecords(error))) throw error;
    deps.log.error(
      { err: error, attempts: body.attempts.length },
      "a report failed; trying its attempts one by one",
    );
  }
  const answers: Reported[] = [];
  for (const attempt of body.attempts) {
    try {
      answers.push(await reportAlone(deps, worker, attempt));
    } catch (error) {
      deps.log.error({ err: error, attempt: attempt.attemptId }, "an attempt's records could not be stored");
    }
  }
  if (answers.length === 0) throw new ReportFailed();
  return {
    attempts: answers.flatMap((one) => one.attempts),
    commands: answers.flatMap((one) => one.commands),
  };
}

async function reportAlone(deps: Deps, worker: WorkerScope, attempt: AttemptReport): Promise<Reported> {
  const store = (lanes: Lanes) => reportOne(deps, { worker, attempts: [{ ...attempt, ...lanes }] });
  try {
    return await store(attempt);
  } catch (error) {
    if (!isOfRecords(error)) throw error;
    deps.log.error(
      { err: error, attempt: attempt.attemptId },
      "records that the database refuses; singling them out",
    );
    const { control, bulk } = attempt;
    const saved = await salvage({ control, bulk }, { store });
    if (saved === null) throw error;
    return saved;
  }
}

/** No attempt of a report could be stored: the worker is told to come back. */
class ReportFailed extends Error {
  override readonly name = "ReportFailed";
}

/** What one worker reports. */
export interface WorkerReport {
  readonly worker: WorkerScope;
  readonly attempts: readonly AttemptReport[];
}

async function reportOne(deps: Deps, one: WorkerReport): Promise<Reported> {
  const [answer] = await reportTogether(deps, { workspaceId: one.worker.workspaceId, reports: [one] });
  return answer ?? { attempts: [], commands: [] };
}

/**
 * Takes what several workers of a workspace report together, which costs little more than one of them alone: those that only
 * tell of starts and completions in one statement, all others in one transaction. Where that fails, it fails as a whole; what the
 * statement has stored by then is known again when it comes once more.
 * @returns an answer for each, in their order
 */
export async function reportTogether(
  deps: Deps,
  a: { workspaceId: string; reports: readonly WorkerReport[] },
): Promise<Reported[]> {
  const { workspaceId, reports } = a;
  const calls = await storeAlone(deps, a);
  if (calls !== null) return [{ attempts: [calls], commands: [] }];
  const plain = plainOf(reports);
  const moved = await applyPlain(deps, { workspaceId, records: [...plain.values()] });
  const done = (one: AttemptReport) => (plain.has(one) ? (moved.get(one.attemptId) ?? null) : null);
  const rest = reports.map(({ worker, attempts }) => ({
    worker,
    attempts: attempts.filter((one) => done(one) === null),
  }));
  const others = rest.every(({ attempts }) => attempts.length === 0)
    ? []
    : await inTransaction(deps, (tx) => apply(tx, deps, { workspaceId, reports: rest }));
  return reports.map(({ attempts }, index) => ({
    attempts: [...attempts.flatMap((one) => done(one) ?? []), ...(others[index]?.attempts ?? [])],
    commands: others[index]?.commands ?? [],
  }));
}

/** The new task calls of one attempt, if nothing else is reported; else null. */
async function storeAlone(
  deps: Deps,
  { workspaceId, reports }: { workspaceId: string; reports: readonly WorkerReport[] },
): Promise<Answer | null> {
  const [one, ...others] = reports.flatMap(({ worker, attempts }) =>
    attempts.map((report) => ({ workspaceId, workerId: worker.workerId, report })),
  );
  return one === undefined || others.length > 0 ? null : await storeNewCalls(deps, one);
}

/** What is plain in reports of which nothing else is to be stored, each attempt once. */
function plainOf(reports: readonly WorkerReport[]): Map<AttemptReport, PlainRecord> {
  const plain = new Map<AttemptReport, PlainRecord>();
  const seen = new Set<string>();
  for (const { worker, attempts } of reports) {
    const records = attempts.map((one) => plainRecord(one, worker.workerId));
    if (records.includes(null)) continue;
    for (const [index, one] of attempts.entries()) {
      const record = records[index];
      if (!record || seen.has(one.attemptId)) continue;
      seen.add(one.attemptId);
      plain.set(one, record);
    }
  }
  return plain;
}

async function apply(
  tx: Tx,
  deps: Deps,
  a: { workspaceId: string; reports: readonly WorkerReport[] },
): Promise<Reported[]> {
  const { workspaceId } = a;
  const turns = a.reports.map(({ worker, attempts }) =>
    attempts.map((report): Turn => ({ worker, report, answer: null })),
  );
  const attemptIds = [...new Set(turns.flat().map(({ report }) => report.attemptId))];
  const known = await lockReported(tx, { workspaceId, attemptIds });
  const shown = await readShown(tx, { workspaceId, turns: turns.flat() });
  const gathered: Gathered = { chunks: [], artifacts: [], progress: new Map(), late: [], shown };
  for (const round of roundsOf(turns.flat())) {
    await applyRound(tx, deps, { workspaceId, known, round, gathered });
  }
  const { chunks, artifacts, progress, late } = gathered;
  await insertChunks(tx, deps.clock, { workspaceId, chunks });
  await saveArtifacts(tx, { workspaceId, artifacts });
  await writeChanges(
    tx,
    artifacts.map((one) => artifactChange(workspaceId, one)),
  );
  await saveReported(tx, deps, { workspaceId, progress: [...progress.values()], late });
  const attempts = [...known.values()].map(({ row }) => row);
  const commands = await commandsFor(tx, { workspaceId, attempts });
  failpoint("report");
  return turns.map((own) => ({
    attempts: own.flatMap(({ answer }) => answer ?? []),
    commands: commands.filter((one) => own.some(({ report }) => report.attemptId === one.attemptId)),
  }));
}

/** What attempts show already, of those that show something in this report. */
async function readShown(
  tx: Tx,
  a: { workspaceId: string; turns: readonly Turn[] },
): Promise<Map<string, Set<string>>> {
  const showing = a.turns.filter(({ report: { bulk } }) => bulk.some(({ type }) => type === "artifact"));
  const shown = new Map(showing.map(({ report: { attemptId } }) => [attemptId, new Set<string>()]));
  const { workspaceId } = a;
  const found = await listArtifactKeys(tx, { workspaceId, attemptIds: [...shown.keys()] });
  for (const { attemptId, key } of found) shown.get(attemptId)?.add(key);
  return shown;
}

/** Turns in rounds, in order: within one of them each attempt is named once. */
function roundsOf(turns: readonly Turn[]): Turn[][] {
  const rounds: Turn[][] = [];
  const seen = new Map<string, number>();
  for (const turn of turns) {
    const round = seen.get(turn.report.attemptId) ?? 0;
    seen.set(turn.report.attemptId, round + 1);
    rounds[round] = [...(rounds[round] ?? []), turn];
  }
  return rounds;
}

/** Both lanes of attempts. Bulk is read first: what comes with an end was written before it. */
async function applyRound(
  tx: Tx,
  deps: Deps,
  a: { workspaceId: string; known: Map<string, ReportedAttempt>; round: readonly Turn[]; gathered: Gathered },
): Promise<void> {
  const current: { turn: Turn; found: ReportedAttempt; bulk: BulkResult }[] = [];
  for (const turn of a.round) {
    const { report: one, worker } = turn;
    const found = a.known.get(one.attemptId);
    if (found === undefined || !isCurrent(found.row, { ...one, workerId: worker.workerId })) {
      answerLate(a.gathered, turn, found);
    } else {
      const shown = a.gathered.shown.get(one.attemptId) ?? new Set();
      current.push({ turn, found, bulk: readBulk(found.row, { records: one.bulk, shown }) });
    }
  }
  const results = await applyControls(tx, deps, {
    workspaceId: a.workspaceId,
    turns: current.map(({ turn, found }) => ({ held: found.row, records: turn.report.control })),
  });
  for (const [index, { turn, found, bulk }] of current.entries()) {
    const { held, stored, rejected } = results[index] ?? { held: found.row, stored: null, rejected: [] };
    const row: AttemptRow = { ...held, bulkAcked: bulk.bulkAcked, nextLine: bulk.nextLine };
    a.known.set(row.id, { ...found, row });
    gatherBulk(a.gathered, row, bulk);
    if (bulk.chunks.length > 0) wakeAfterCommit(tx, "run", row.runId);
    const { controlAcked, bulkAcked, nextLine, cancelStage } = row;
    const progress = { attemptId: row.id, controlAcked, bulkAcked, nextLine, cancelStage };
    if (stored !== null && isStored(stored, progress)) a.gathered.progress.delete(row.id);
    else a.gathered.progress.set(row.id, { ...progress, archived: found.archived });
    turn.answer = answerOf(row, "accepted", [...rejected, ...bulk.rejected]);
  }
}

/** Whether a row that was written in this report says all that its progress would. */
function isStored(row: AttemptRow, progress: Progress): boolean {
  const { controlAcked, bulkAcked, nextLine, cancelStage } = progress;
  return (
    row.controlAcked === controlAcked &&
    row.bulkAcked === bulkAcked &&
    row.nextLine === nextLine &&
    row.cancelStage === cancelStage
  );
}

function gatherBulk(gathered: Gathered, row: AttemptRow, bulk: BulkResult): void {
  for (const chunk of bulk.chunks) gathered.chunks.push({ ...chunk, attemptId: row.id });
  for (const artifact of bulk.artifacts) {
    gathered.artifacts.push({ ...artifact, attemptId: row.id, runId: row.runId, attempt: row.ordinal });
  }
}

/**
 * A fence of the past changes nothing; that it came is kept where it can be seen. One of a claim that never was is not:
 * whoever makes fences up could fill a table with them.
 */
function answerLate(gathered: Gathered, turn: Turn, found: ReportedAttempt | undefined): void {
  const { attemptId, epoch, control, bulk } = turn.report;
  const records = [...control, ...bulk];
  const kinds = [...new Set(records.map(({ type }) => (typeof type === "string" ? type.slice(0, 20) : "?")))];
  if (found !== undefined && epoch <= found.row.epoch && records.length > 0) {
    const { workerId } = turn.worker;
    gathered.late.push({ attemptId, epoch, workerId, records: records.length, kinds: cleanJson(kinds) });
  }
  const nothing = { controlAcked: 0, bulkAcked: 0 };
  turn.answer =
    found === undefined
      ? { attemptId, status: "stale", ...nothing, rejected: [], outcome: null }
      : { ...answerOf(found.row, "stale", []), ...nothing };
}

function answerOf(row: AttemptRow, status: Answer["status"], rejected: Rejection[]): Answer {
  return {
    ...{ attemptId: row.id, status, rejected },
    ...{ controlAcked: row.controlAcked, bulkAcked: row.bulkAcked },
    outcome: row.endedAt === null ? null : { state: row.state, cause: row.cause },
  };
}
