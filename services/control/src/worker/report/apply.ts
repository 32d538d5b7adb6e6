import type { Rejection, Reported } from "@towpath/contract";
import {
  cleanJson,
  type Deps,
  failpoint,
  type Tx,
  type WorkerScope,
  wakeAfterCommit,
  writeChanges,
} from "../../kernel/index.ts";
import {
  artifactChange,
  insertChunks,
  listArtifactKeys,
  type NewChunk,
  type OwnedArtifact,
  saveArtifacts,
} from "../../logs/index.ts";
import {
  commandsFor,
  isCurrent,
  type Late,
  lockReported,
  noteRestore,
  type Progress,
  type ReportedAttempt,
  saveReported,
  takeBack,
} from "../../runs/index.ts";
import type { AttemptRow } from "../../runs/table.ts";
import { type BulkResult, readBulk } from "./bulk.ts";
import { applyControls } from "./control.ts";
import type { LooseRecord } from "./records.ts";

/** Records of one attempt. The contract has parsed only their sequence. */
export interface AttemptReport {
  readonly attemptId: string;
  readonly epoch: number;
  readonly nonce: string;
  readonly control: readonly LooseRecord[];
  readonly bulk: readonly LooseRecord[];
  /** The positions that were acknowledged to the worker. Present when it offers records again. */
  readonly acked?: { readonly control: number; readonly bulk: number } | undefined;
}

/** One worker's report. */
export interface WorkerReport {
  readonly worker: WorkerScope;
  readonly attempts: readonly AttemptReport[];
}

type Answer = Reported["attempts"][number];

/** The results of all attempts, written at the end in a few statements. */
interface Gathered {
  readonly chunks: (NewChunk & { attemptId: string })[];
  readonly artifacts: OwnedArtifact[];
  /** By attempt: the latest counts. */
  readonly progress: Map<string, Progress & { archived: boolean }>;
  readonly late: (Late & { workerId: string })[];
  /** Attempts that a worker knows and a restored database does not. */
  readonly unknown: Set<string>;
  /** How many attempts have records that a worker knows and the database has lost. */
  offered: number;
  /** By attempt: the keys of its artifacts, if the report has any. */
  readonly shown: ReadonlyMap<string, Set<string>>;
}

/** The records of one attempt from one worker, and the answer once they are applied. */
interface Turn {
  readonly worker: WorkerScope;
  readonly report: AttemptReport;
  answer: Answer | null;
}

/** Applies workers' reports in one transaction: both lanes of each attempt, late reports, and the changes. */
export async function applyReports(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; reports: readonly WorkerReport[] },
): Promise<Reported[]> {
  const { workspaceId } = args;
  const turns = args.reports.map(({ worker, attempts }) =>
    attempts.map((report): Turn => ({ worker, report, answer: null })),
  );
  const attemptIds = [...new Set(turns.flat().map(({ report }) => report.attemptId))];
  const known = await lockReported(tx, { workspaceId, attemptIds });
  const shown = await readShown(tx, { workspaceId, turns: turns.flat() });
  const gathered: Gathered = {
    chunks: [],
    artifacts: [],
    progress: new Map(),
    late: [],
    shown,
    unknown: new Set(),
    offered: 0,
  };
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
  const { offered, unknown } = gathered;
  await noteRestore(tx, deps.clock, { workspaceId, offered, unknownAttempts: [...unknown] });
  const attempts = [...known.values()].map(({ row }) => row);
  const commands = await commandsFor(tx, { workspaceId, attempts });
  failpoint("report");
  return turns.map((own) => ({
    attempts: own.flatMap(({ answer }) => answer ?? []),
    commands: commands.filter((one) => own.some(({ report }) => report.attemptId === one.attemptId)),
  }));
}

/** The artifact keys of attempts that report artifacts now. */
async function readShown(
  tx: Tx,
  args: { workspaceId: string; turns: readonly Turn[] },
): Promise<Map<string, Set<string>>> {
  const showing = args.turns.filter(({ report: { bulk } }) => bulk.some(({ type }) => type === "artifact"));
  const shown = new Map(showing.map(({ report: { attemptId } }) => [attemptId, new Set<string>()]));
  const { workspaceId } = args;
  const found = await listArtifactKeys(tx, { workspaceId, attemptIds: [...shown.keys()] });
  for (const { attemptId, key } of found) shown.get(attemptId)?.add(key);
  return shown;
}

/** Splits turns into rounds, in order. Each round names an attempt at most once. */
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

/** Applies both lanes of attempts. Bulk is read first: records that come with an end were written before it. */
async function applyRound(
  tx: Tx,
  deps: Deps,
  args: {
    workspaceId: string;
    known: Map<string, ReportedAttempt>;
    round: readonly Turn[];
    gathered: Gathered;
  },
): Promise<void> {
  const current: { turn: Turn; found: ReportedAttempt; bulk: BulkResult }[] = [];
  for (const turn of args.round) {
    const { report: one, worker } = turn;
    const found = await currentOf(tx, deps, { turn, found: args.known.get(one.attemptId) });
    if (found === undefined || !isCurrent(found.row, { ...one, workerId: worker.workerId })) {
      answerLate(args.gathered, turn, found);
      if (found === undefined && wasRestoredLately(deps)) reportUnknown(deps, args.gathered, turn);
    } else {
      if (found.row !== args.known.get(one.attemptId)?.row || isBehind(found.row, one))
        args.gathered.offered += 1;
      const shown = args.gathered.shown.get(one.attemptId) ?? new Set();
      current.push({ turn, found, bulk: readBulk(found.row, { records: one.bulk, shown }) });
    }
  }
  const results = await applyControls(tx, deps, {
    workspaceId: args.workspaceId,
    turns: current.map(({ turn, found }) => ({ held: found.row, records: turn.report.control })),
  });
  for (const [index, { turn, found, bulk }] of current.entries()) {
    const { held, stored, rejected } = results[index] ?? { held: found.row, stored: null, rejected: [] };
    const row: AttemptRow = { ...held, bulkAcked: bulk.bulkAcked, nextLine: bulk.nextLine };
    args.known.set(row.id, { ...found, row });
    gatherBulk(args.gathered, row, bulk);
    if (bulk.chunks.length > 0) wakeAfterCommit(tx, "run", row.runId);
    const { controlAcked, bulkAcked, nextLine, cancelStage } = row;
    const progress = { attemptId: row.id, controlAcked, bulkAcked, nextLine, cancelStage };
    if (stored !== null && isStored(stored, progress)) args.gathered.progress.delete(row.id);
    else args.gathered.progress.set(row.id, { ...progress, archived: found.archived });
    turn.answer = answerOf(row, "accepted", [...rejected, ...bulk.rejected]);
  }
}

/** For how long after a restore unknown attempts are reported, milliseconds. Workers offer the records of the last hour. */
const REPORT_UNKNOWN_MS = 2 * 3_600_000;

function wasRestoredLately({ incarnations }: Deps): boolean {
  return (incarnations.last?.ageMs ?? Number.POSITIVE_INFINITY) <= REPORT_UNKNOWN_MS;
}

/** Whether the database has fewer records of an attempt than it acknowledged. */
function isBehind({ controlAcked, bulkAcked }: AttemptRow, { acked }: AttemptReport): boolean {
  return acked !== undefined && (acked.control > controlAcked || acked.bulk > bulkAcked);
}

/** Reports an attempt that the database lost in a restore. Its outcome stays unknown. */
function reportUnknown(
  { log }: Deps,
  { unknown }: Gathered,
  { worker, report: { attemptId, epoch } }: Turn,
): void {
  unknown.add(attemptId);
  log.warn(
    { attempt: attemptId, epoch, worker: worker.workerId },
    "a worker offers an attempt that the restored database does not know: what became of it is unknown",
  );
}

/** The attempt of a turn. Takes back a claim that the database has lost and the worker offers again. */
async function currentOf(
  tx: Tx,
  deps: Deps,
  { turn, found }: { turn: Turn; found: ReportedAttempt | undefined },
): Promise<ReportedAttempt | undefined> {
  if (found === undefined || found.archived || turn.report.epoch <= found.row.epoch) return found;
  const row = await takeBack(tx, deps, { held: found.row, worker: turn.worker, fence: turn.report });
  return row === null ? found : { ...found, row };
}

/** Whether a row that this report has stored already contains the progress. */
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
 * Answers a report with a stale fence, which changes nothing. The report is recorded, unless its claim never existed:
 * invented fences could fill the table.
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
    attemptId: row.id,
    status,
    rejected,
    controlAcked: row.controlAcked,
    bulkAcked: row.bulkAcked,
    outcome: row.endedAt === null ? null : { state: row.state, cause: row.cause },
  };
}
