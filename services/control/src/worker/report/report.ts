import type { Reported } from "@towpath/contract";
import { type Deps, inTransaction, isConnectionLost, type WorkerScope } from "../../kernel/index.ts";
import { type AttemptReport, applyReports, type WorkerReport } from "./apply.ts";
import { bisect, isOfRecords, type Lanes } from "./bisect.ts";
import { answerNewCalls } from "./calls.ts";
import { answerPlain, type PlainRecord, plainRecord } from "./plain.ts";

type Answer = Reported["attempts"][number];

/**
 * Stores a worker's records of many attempts in one transaction. Acknowledged records are committed. After an unexpected
 * failure each attempt gets its own transaction, so that no attempt blocks another, and records that the database refuses
 * are rejected one by one. An attempt that fails for another reason is missing in the answer, and the worker sends it
 * again. Nothing is tried again while the database cannot be reached.
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
      "a report failed; storing each of its attempts alone",
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
      "the database refuses records of an attempt; finding and rejecting them",
    );
    const { control, bulk } = attempt;
    const saved = await bisect({ control, bulk }, { store });
    if (saved === null) throw error;
    return saved;
  }
}

/** No attempt of a report could be stored. The worker sends it again. */
class ReportFailed extends Error {
  override readonly name = "ReportFailed";
}

async function reportOne(deps: Deps, one: WorkerReport): Promise<Reported> {
  const [answer] = await reportTogether(deps, { workspaceId: one.worker.workspaceId, reports: [one] });
  return answer ?? { attempts: [], commands: [] };
}

/**
 * Stores the reports of several workers of a workspace. One statement stores the reports that have only starts and
 * completions; one transaction stores the others. A failure concerns all of them. Records that the statement has stored by
 * then are recognised when they come again.
 * @returns an answer for each report, in their order
 */
export async function reportTogether(
  deps: Deps,
  args: { workspaceId: string; reports: readonly WorkerReport[] },
): Promise<Reported[]> {
  const { workspaceId, reports } = args;
  const calls = await storeAlone(deps, args);
  if (calls !== null) return [{ attempts: [calls], commands: [] }];
  const plain = plainOf(reports);
  const moved = await answerPlain(deps, { workspaceId, records: [...plain.values()] });
  const done = (one: AttemptReport) => (plain.has(one) ? (moved.get(one.attemptId) ?? null) : null);
  const rest = reports.map(({ worker, attempts }) => ({
    worker,
    attempts: attempts.filter((one) => done(one) === null),
  }));
  const others = rest.every(({ attempts }) => attempts.length === 0)
    ? []
    : await inTransaction(deps, (tx) => applyReports(tx, deps, { workspaceId, reports: rest }));
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
  return one === undefined || others.length > 0 ? null : await answerNewCalls(deps, one);
}

/** The plain records of reports that have no others, each attempt once. */
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
