import { createHash, timingSafeEqual } from "node:crypto";
import { type CallBack, type CalledBack, type JobOutcome, Problem, saysNothing } from "@towpath/contract";
import { cleanText, type Deps, inTransaction } from "../../kernel/index.ts";
import { findWaitNow } from "../waits/store.ts";
import { endJobs } from "./end.ts";
import { findJob, takesNoPlainValues } from "./store.ts";

/** The sender of an outcome that came to a job's own callback URL. */
const CALLER = "callback";

/**
 * Takes the outcome of a job from its backend, at the callback URL of the job. The holder of its token may report once.
 * Of several calls the first counts, and each gets the state of the job's wait.
 * @throws Problem `wait-not-found`, also for a wrong token; `callback-value` for a result or an error text in a sealed workspace.
 */
export async function callBack(deps: Deps, args: Callback & { report: CallBack }): Promise<CalledBack> {
  const { workspaceId, jobId } = args;
  const { runId } = await calledJob(deps, args);
  await refuseValue(deps, args);
  const over = [{ jobId, runId, by: "end" as const, outcome: outcomeOf(args.report), lease: null }];
  await inTransaction(deps, (tx) => endJobs(tx, deps, { workspaceId, over, answeredBy: CALLER }));
  const wait = await findWaitNow(deps.database.db, deps.clock, { workspaceId, runId, waitId: jobId });
  if (wait === null || wait.state === "open") throw noSuch();
  return { state: wait.state };
}

/**
 * A backend has no workspace key, so in a sealed workspace it may only say how the job ended. A value that has the form of a sealed one
 * is refused as well: no worker made it for this job.
 */
async function refuseValue(
  deps: Pick<Deps, "database">,
  { workspaceId, report }: { workspaceId: string; report: CallBack },
): Promise<void> {
  const [path, value] =
    report.outcome === "completed"
      ? (["result", report.result] as const)
      : (["error", report.error] as const);
  if (saysNothing(value) || !(await takesNoPlainValues(deps.database.db, workspaceId))) return;
  const next = `Send the outcome without "${path}". The flow reads the rest where the job wrote it.`;
  throw new Problem(
    "callback-value",
    `In a sealed workspace a callback may only say how the job ended, but this one has "${path}". ${next}`,
    { faults: [{ path, message: "must be missing in a sealed workspace", suggestion: next }] },
  );
}

/** The identity of a job in its callback URL. */
interface Callback {
  readonly workspaceId: string;
  readonly jobId: string;
  readonly token: string;
}

async function calledJob(deps: Pick<Deps, "database">, args: Callback): Promise<{ runId: string }> {
  const row = await findJob(deps.database.db, args);
  if (row === null || !isOneOf(args.token, row.callbacks)) throw noSuch();
  return row;
}

/**
 * Lets only callers with the job's token send a body.
 * @throws Problem `wait-not-found`.
 */
export async function checkCallback(deps: Pick<Deps, "database">, args: Callback): Promise<void> {
  await calledJob(deps, args);
}

function noSuch(): Problem {
  return new Problem("wait-not-found", "This callback URL is unknown or has expired.");
}

/** Compared in constant time, with each hash that there is. */
function isOneOf(token: string, hashes: readonly string[]): boolean {
  const given = createHash("sha256").update(token).digest();
  return hashes.filter((hash) => timingSafeEqual(given, Buffer.from(hash, "hex"))).length > 0;
}

function outcomeOf(report: CallBack): JobOutcome {
  if (report.outcome === "completed") return { outcome: "completed", result: null, value: report.result };
  const message = cleanText(report.error) || "Its backend reported a failure without a reason.";
  return { outcome: "failed", error: { name: "JobFailed", message } };
}
