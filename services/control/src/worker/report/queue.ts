import type { Reported } from "@towpath/contract";
import { type Deps, isConnectionLost, type WorkerScope } from "../../kernel/index.ts";
import type { AttemptReport, WorkerReport } from "./apply.ts";
import { report, reportTogether } from "./report.ts";

/** The most attempts in one transaction of several workers. */
const TOGETHER_MAX = 250;
/** The most control records of an attempt whose report shares a transaction. */
const RECORDS_MAX = 20;

/**
 * With this many waiting reports, a second transaction starts beside the first: one works while the other waits for the
 * disk. A transaction costs as much as about twelve records, so fewer reports do not pay for one.
 */
const SECOND_MIN = 24;

/** A worker's report that waits for its transaction. */
interface Waiting extends WorkerReport {
  readonly answer: PromiseWithResolvers<Reported>;
}

/**
 * Lets small reports of many workers share transactions. Reports that come during a transaction share the next one, without
 * timers. Every commit waits for the disk, so sharing keeps many workers as fast as a few. A large report, or one with
 * logs, has its own transaction and delays no other.
 */
export class ReportQueue {
  readonly #waiting = new Map<string, Waiting[]>();
  /** How many transactions of a workspace are under way. */
  readonly #busy = new Map<string, number>();

  /** Like `report`, perhaps in a transaction with other workers' reports. */
  report(deps: Deps, worker: WorkerScope, body: { attempts: readonly AttemptReport[] }): Promise<Reported> {
    if (!isSmall(body.attempts)) return report(deps, worker, body);
    const { workspaceId } = worker;
    const answer = Promise.withResolvers<Reported>();
    const queue = this.#waiting.get(workspaceId) ?? [];
    this.#waiting.set(workspaceId, queue);
    queue.push({ worker, attempts: body.attempts, answer });
    if (this.#mayGo(workspaceId, queue)) void this.#work(deps, workspaceId, queue);
    return answer.promise;
  }

  /** Whether waiting reports go now. */
  #mayGo(workspaceId: string, queue: readonly Waiting[]): boolean {
    const busy = this.#busy.get(workspaceId) ?? 0;
    return queue.length > 0 && (busy === 0 || (busy === 1 && queue.length >= SECOND_MIN));
  }

  async #work(deps: Deps, workspaceId: string, queue: Waiting[]): Promise<void> {
    while (this.#mayGo(workspaceId, queue)) {
      this.#busy.set(workspaceId, (this.#busy.get(workspaceId) ?? 0) + 1);
      await send(deps, workspaceId, queue.splice(0, fitting(queue)));
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

/** How many of the first reports share the next transaction: at least one. */
function fitting(queue: readonly Waiting[]): number {
  let attempts = 0;
  const over = queue.findIndex((one) => {
    attempts += one.attempts.length;
    return attempts > TOGETHER_MAX;
  });
  return over === -1 ? queue.length : Math.max(1, over);
}

/** If the reports cannot be stored together, each is stored by itself, so that one bad report blocks no other. */
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
      "a shared transaction of reports failed; storing each report alone",
    );
    for (const { worker, attempts, answer } of reports) {
      await report(deps, worker, { attempts }).then(answer.resolve, answer.reject);
    }
  }
}
