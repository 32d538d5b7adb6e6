import type { Rejection, Reported } from "@towpath/contract";
import {
  type Deps,
  failpoint,
  inTransaction,
  type Tx,
  type WorkerScope,
  writeChanges,
} from "../kernel/index.ts";
import {
  applyControl,
  cleanJson,
  commandsFor,
  isCurrent,
  type Late,
  type LooseRecord,
  lockReported,
  type Progress,
  type ReportedAttempt,
  saveReported,
  wakeAfterCommit,
} from "../runs/index.ts";
import type { AttemptRow } from "../runs/table.ts";
import { type BulkResult, type NewChunk, readBulk } from "./lanes.ts";
import { insertChunks, type OwnedArtifact, saveArtifacts } from "./store/write.ts";
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

/** What a report comes to, gathered over its attempts and written at its end in a few statements. */
interface Gathered {
  readonly answers: Answer[];
  readonly chunks: (NewChunk & { attemptId: string })[];
  readonly artifacts: OwnedArtifact[];
  readonly progress: (Progress & { archived: boolean })[];
  readonly late: Late[];
}

/**
 * Takes a worker's records of many attempts. All of it is one transaction, and what is acknowledged is committed. If
 * that fails for a reason that nobody foresaw, each attempt gets a transaction of its own, so that one cannot hold up
 * the others; the failing one is answered as it was before, and the worker sends it again.
 */
export async function report(
  deps: Deps,
  worker: WorkerScope,
  body: { attempts: readonly AttemptReport[] },
): Promise<Reported> {
  try {
    return await inTransaction(deps, (tx) => apply(tx, deps, { worker, attempts: body.attempts }));
  } catch (error) {
    if (body.attempts.length < 2) throw error;
    deps.log.error(
      { err: error, attempts: body.attempts.length },
      "a report failed; trying its attempts one by one",
    );
  }
  const answers: Reported[] = [];
  for (const attempt of body.attempts) {
    try {
      answers.push(await inTransaction(deps, (tx) => apply(tx, deps, { worker, attempts: [attempt] })));
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

/** No attempt of a report could be stored: the worker is told to come back. */
class ReportFailed extends Error {
  override readonly name = "ReportFailed";
}

async function apply(
  tx: Tx,
  deps: Deps,
  a: { worker: WorkerScope; attempts: readonly AttemptReport[] },
): Promise<Reported> {
  const { worker } = a;
  const { workspaceId } = worker;
  const attemptIds = [...new Set(a.attempts.map((one) => one.attemptId))];
  const known = await lockReported(tx, { workspaceId, attemptIds });
  const gathered: Gathered = { answers: [], chunks: [], artifacts: [], progress: [], late: [] };
  for (const one of a.attempts) {
    const found = known.get(one.attemptId);
    if (found === undefined || !isCurrent(found.row, { ...one, workerId: worker.workerId })) {
      gatherLate(gathered, one, found);
    } else {
      const row = await applyAttempt(tx, deps, { gathered, found, report: one });
      known.set(one.attemptId, { ...found, row });
    }
  }
  const { chunks, artifacts, progress, late } = gathered;
  await insertChunks(tx, deps.clock, { workspaceId, chunks });
  await saveArtifacts(tx, { workspaceId, artifacts });
  await writeChanges(
    tx,
    artifacts.map((one) => artifactChange(workspaceId, one)),
  );
  await saveReported(tx, deps, { worker, progress, late });
  failpoint("report");
  const attempts = [...known.values()].map(({ row }) => row);
  return { attempts: gathered.answers, commands: await commandsFor(tx, { workspaceId, attempts }) };
}

/** Both lanes of one attempt. Bulk first: what comes with an end was written before it. */
async function applyAttempt(
  tx: Tx,
  deps: Deps,
  a: { gathered: Gathered; found: ReportedAttempt; report: AttemptReport },
): Promise<AttemptRow> {
  const { gathered, report: one, found } = a;
  const bulk = readBulk(found.row, one.bulk);
  const { held, rejected } = await applyControl(tx, deps, { held: found.row, records: one.control });
  const row: AttemptRow = { ...held, bulkAcked: bulk.bulkAcked, nextLine: bulk.nextLine };
  gatherBulk(gathered, row, bulk);
  if (bulk.chunks.length > 0) wakeAfterCommit(tx, "run", row.runId);
  const { controlAcked, bulkAcked, nextLine, cancelStage } = row;
  gathered.progress.push({
    ...{ attemptId: row.id, controlAcked, bulkAcked, nextLine, cancelStage },
    archived: found.archived,
  });
  gathered.answers.push(answerOf(row, "accepted", [...rejected, ...bulk.rejected]));
  return row;
}

function gatherBulk(gathered: Gathered, row: AttemptRow, bulk: BulkResult): void {
  for (const chunk of bulk.chunks) gathered.chunks.push({ ...chunk, attemptId: row.id });
  for (const artifact of bulk.artifacts) {
    gathered.artifacts.push({ ...artifact, attemptId: row.id, runId: row.runId, attempt: row.ordinal });
  }
}

function gatherLate(gathered: Gathered, one: AttemptReport, found: ReportedAttempt | undefined): void {
  const records = [...one.control, ...one.bulk];
  const kinds = [...new Set(records.map(({ type }) => (typeof type === "string" ? type.slice(0, 20) : "?")))];
  if (found !== undefined && records.length > 0) {
    gathered.late.push({
      ...{ attemptId: one.attemptId, epoch: one.epoch, records: records.length },
      kinds: cleanJson(kinds),
    });
  }
  gathered.answers.push(
    found === undefined
      ? {
          attemptId: one.attemptId,
          status: "stale",
          controlAcked: 0,
          bulkAcked: 0,
          rejected: [],
          outcome: null,
        }
      : { ...answerOf(found.row, "stale", []), controlAcked: 0, bulkAcked: 0 },
  );
}

function answerOf(row: AttemptRow, status: Answer["status"], rejected: Rejection[]): Answer {
  return {
    ...{ attemptId: row.id, status, rejected },
    ...{ controlAcked: row.controlAcked, bulkAcked: row.bulkAcked },
    outcome: row.endedAt === null ? null : { state: row.state, cause: row.cause },
  };
}
