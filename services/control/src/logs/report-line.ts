import type { Reported } from "@towpath/contract";
import { type Deps, isConnectionLost, type WorkerScope } from "../kernel/index.ts";
import type { AttemptReport, WorkerReport } from "./apply-reports.ts";
import { report, reportTogether } from "./report.ts";

/** The most attempts that one transaction of several workers takes on. */
const TOGETHER_MAX = 250;
/** The most control records of an attempt that may wait for others' and make them wait. */
const RECORDS_MAX = 20;

/** A worker's report that waits for the transaction it will go in. */
interface Waiting extends WorkerReport {
  readonly answer: PromiseWithResolvers<Reported>;
}

/**
 * Lets small reports of many workers share transactions: while one is on its way, what comes in waits and goes in the
 * next one together; no timers. A commit waits for the disk however little it holds, so that 64 workers who start and
 * end a run each are as fast as a few (measured by the bench's row `agents`). A report with logs, or with a lot of
 * anything, goes by itself and delays nobody.
 */
export class ReportLine {
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #busy = new Set<string>();

  /** As `report`. */
  report(deps: Deps, worker: WorkerScope, body: { attempts: readonly AttemptReport[] }): Promise<Reported> {
    if (!isSmall(body.attempts)) return report(deps, worker, body);
    const { workspaceId } = worker;
    const answer = Promise.withResolvers<Reported>();
    const line = this.#waiting.get(workspaceId) ?? [];
    this.#waiting.set(workspaceId, line);
    line.push({ worker, attempts: body.attempts, answer });
    if (!this.#busy.has(workspaceId)) void this.#work(deps, workspaceId, line);
    return answer.promise;
  }

  async #work(deps: Deps, workspaceId: string, line: Waiting[]): Promise<void> {
    this.#busy.add(workspaceId);
    while (line.length > 0) await send(deps, workspaceId, line.splice(0, fitting(line)));
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
