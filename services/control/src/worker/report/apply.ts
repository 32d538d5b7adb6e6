import type { Rejection, Reported } from "@towpath/contract";
import {
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
import { ReportedAttempts } from "../../runs/index.ts";
import type { AttemptRow } from "../../runs/table.ts";
import { type BulkResult, readBulk } from "./bulk.ts";
import { type ControlLane, type LooseRecord, readControl, rejection } from "./records.ts";

/** Records of one attempt. The contract has parsed only their sequence. */
export interface AttemptReport {
  readonly attemptId: string;
  readonly epoch: number;
  readonly nonce: string;
  readonly control: readonly LooseRecord[];
  readonly bulk: readonly LooseRecord[];
  /** The positions that were acknowledged to the worker. Present when it offers records again. */
  readonly acked?: { readonly control: number; readonly bulk: number } | undefined;
  /** When the worker sent the report of an end, by its clock. */
  readonly sentAt?: string | undefined;
}

/** One worker's report. */
export interface WorkerReport {
  readonly worker: WorkerScope;
  readonly attempts: readonly AttemptReport[];
}

type Answer = Reported["attempts"][number];

/** Log chunks and artifacts of all attempts, written at the end in a few statements. */
interface Gathered {
  readonly chunks: (NewChunk & { attemptId: string })[];
  readonly artifacts: OwnedArtifact[];
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
  const attempts = await ReportedAttempts.lock(tx, deps, { workspaceId, attemptIds });
  const shown = await readShown(tx, { workspaceId, turns: turns.flat() });
  const gathered: Gathered = { chunks: [], artifacts: [], shown };
  for (const round of roundsOf(turns.flat())) await applyRound(tx, attempts, { round, gathered });
  const { chunks, artifacts } = gathered;
  await insertChunks(tx, deps.clock, { workspaceId, chunks });
  await saveArtifacts(tx, { workspaceId, artifacts });
  await writeChanges(
    tx,
    artifacts.map((one) => artifactChange(workspaceId, one)),
  );
  const commands = await attempts.save();
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
  attempts: ReportedAttempts,
  { round, gathered }: { round: readonly Turn[]; gathered: Gathered },
): Promise<void> {
  const current: { turn: Turn; held: AttemptRow; control: ControlLane; bulk: BulkResult }[] = [];
  for (const turn of round) {
    const { report: one, worker } = turn;
    const held = await attempts.admit(worker, { ...one, records: [...one.control, ...one.bulk] });
    if (held === null) {
      turn.answer = lateAnswer(one.attemptId, attempts.rowOf(one.attemptId));
      continue;
    }
    const shown = gathered.shown.get(one.attemptId) ?? new Set();
    const bulk = readBulk(held, { records: one.bulk, shown });
    current.push({
      turn,
      held,
      control: readControl(one.control, { acked: held.controlAcked, sentAt: one.sentAt }),
      bulk,
    });
  }
  const results = await attempts.apply(
    current.map(({ held, control, bulk }) => ({
      held,
      control: control.records,
      controlAcked: control.acked,
      bulkAcked: bulk.bulkAcked,
      nextLine: bulk.nextLine,
    })),
  );
  for (const [index, { turn, held, control, bulk }] of current.entries()) {
    const { row, refused } = results[index] ?? { row: held, refused: [] };
    gatherBulk(gathered, row, bulk);
    if (bulk.chunks.length > 0) wakeAfterCommit(tx, "run", row.runId);
    const rejected = refused.map(({ seq, problem: { code, detail } }) =>
      rejection({ lane: "control", seq, code, detail }),
    );
    const controls = [...control.rejected, ...rejected].sort((one, other) => one.seq - other.seq);
    turn.answer = answerOf(row, "accepted", [...controls, ...bulk.rejected]);
  }
}

function gatherBulk(gathered: Gathered, row: AttemptRow, bulk: BulkResult): void {
  for (const chunk of bulk.chunks) gathered.chunks.push({ ...chunk, attemptId: row.id });
  for (const artifact of bulk.artifacts) {
    gathered.artifacts.push({ ...artifact, attemptId: row.id, runId: row.runId, attempt: row.ordinal });
  }
}

/** The answer to a report that changed nothing, because its fence is stale. */
function lateAnswer(attemptId: string, row: AttemptRow | undefined): Answer {
  const nothing = { controlAcked: 0, bulkAcked: 0 };
  return row === undefined
    ? { attemptId, status: "stale", ...nothing, rejected: [], outcome: null }
    : { ...answerOf(row, "stale", []), ...nothing };
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
