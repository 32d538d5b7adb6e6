import type { Reported } from "@towpath/contract";
import { type Deps, isConnectionLost, type WorkerScope } from "../../kernel/index.ts";
import type { AttemptReport, WorkerReport } from "./apply.ts";
import { report, reportTogether } from "./report.ts";

/** The most attempts that one transaction of several workers takes on. */
const TOGETHER_MAX = 250;
/** The most control records of an attempt that may wait for others' and make them wait. */
const RECORDS_MAX = 20;

/**
 * So many reports go at once although a transaction is under way, so that one works while the other waits for the disk or for us. A
 * transaction costs about as much as a dozen of the records in it: with two at once however few waited, those of 64 agents were half as
 * large, took a fifth more of Postgres's time, and were no faster; from 24 on, `agents` went from 1.05 to 1.1 to 1.2 of its peer's rate.
 */
const SECOND_MIN = 24;

/** A worker's report that waits for the transaction it will go in. */
interface Waiting extends WorkerReport {
  readonly answer: PromiseWithResolvers<Reported>;
}

/**
 * Lets small reports of many workers share transactions: while one is on its way, what comes in waits and goes in the
 * next one together, unless it is many by then; no timers. A commit waits for the disk however little it holds, so that 64 workers who start and
 * end a run each are as fast as a few (measured by the bench's row `agents`). A report with logs, or with a lot of
 * anything, goes by itself and delays nobody.
 */
export class ReportLine {
  readonly #waiting = new Map<string, Waiting[]>();
  /** How many transactions of a workspace are under way. */
  readonly #busy = new Map<string, number>();

  /** As `report`. */
  report(deps: Deps, worker: WorkerScope, body: { attempts: readonly AttemptReport[] }): Promise<Reported> {
    if (!isSmall(body.attempts)) return report(deps, worker, body);
    const { workspaceId } = worker;
    const answer = Promise.withResolvers<Reported>();
    const line = this.#waiting.get(workspaceId) ?? [];
    this.#waiting.set(workspaceId, line);
    line.push({ worker, attempts: body.attempts, answer });
    if (this.#mayGo(workspaceId, line)) void this.#work(deps, workspaceId, line);
    return answer.promise;
  }

  /** Whether what waits goes now. */
  #mayGo(workspaceId: string, line: readonly Waiting[]): boolean {
    const busy = this.#busy.get(workspaceId) ?? 0;
    return line.length > 0 && (busy === 0 || (busy === 1 && line.length >= SECOND_MIN));
  }

  async #work(deps: Deps, workspaceId: string, line: Waiting[]): Promise<void> {
    while (this.#mayGo(workspaceId, line)) {
      this.#busy.set(workspaceId, (this.#busy.get(workspaceId) ?? 0) + 1);
      await send(deps, workspaceId, line.splice(0, fitting(line)));
      this.#busy.set(workspaceId, (this.#busy.get(workspaceId) ?? 1) - 1);
    }
    if (this.#busy.get(workspaceId) !== 0) return;
    this.#busy.delete(workspaceId);
    this.#waiting.delete(workspaceId);
  }
}

function isSmall(attempts: readonly AttemptReport[]): boolean {
  return (
    attempts.length <= TOGETHER_MAX &&
    attempts.every(({ control, bulk }) => bulk.length === 0 && control.length <= RECORDS_MAX)
  );
}

/** How many of the first reports go together: at least one. */
function fitting(line: readonly Waiting[]): number {
  let attempts = 0;
  const over = line.findIndex((one) => {
    attempts += one.attempts.length;
    return attempts > TOGETHER_MAX;
  });
  return over === -1 ? line.length : Math.max(1, over);
}

/** If they cannot go together, each goes by itself: one that cannot be stored holds up nobody else. */
async function send(deps: Deps, workspaceId: string, reports: readonly Waiting[]): Promise<void> {
  try {
    const answers = await reportTogether(deps, { workspaceId, reports });
    for (const [index, { answer }] of reports.entries()) {
      answer.resolve(answers[index] ?? { attempts: [], commands: [] });
    }
  } catch (error) {
    if (isConnectionLost(error)) {
      for (const { answer } of reports) answer.reject(error);
      return;
    }
    deps.log.error(
      { err: error, reports: reports.length },
      "reports failed together; trying them one by one",
    );
    for (const { worker, attempts, answer } of reports) {
      await report(deps, worker, { attempts }).then(answer.resolve, answer.reject);
    }
  }
}
