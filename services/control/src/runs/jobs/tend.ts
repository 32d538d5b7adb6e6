import { type TendedJob, type TendedJobs, type TendJobs, WakeUp } from "@towpath/contract";
import { cleanText, type Deps, inTransaction, type WorkerScope } from "../../kernel/index.ts";
import type { JobRow } from "../table.ts";
import { endJobs, type JobOver } from "./end.ts";
import {
  findJobs,
  listSpecs,
  type PolledJob,
  releaseJobs,
  renewJobs,
  savePolls,
  takeJobs,
  untilJobsFree,
} from "./tending-store.ts";

/** The most jobs that one transaction ends. */
const ENDS_BATCH = 200;
/** The shortest wait for the end of a lease, milliseconds. The clocks of processes and of the database differ a little. */
const FREE_LEAST_MS = 50;

/** The jobs that a look has found, and when another look may find more. */
interface Looked {
  readonly answer: TendedJobs;
  readonly freeInMs: number;
}

/**
 * Takes the results of a worker's poller about external jobs, and answers with jobs of its pool to tend, or with
 * changes of its jobs, as soon as there are any. A lost answer costs nothing: the worker does not list the jobs in it,
 * and gets them again.
 */
export async function tendJobs(
  deps: Deps,
  worker: WorkerScope,
  body: TendJobs,
  signal: AbortSignal,
): Promise<TendedJobs> {
  await takeChanges(deps, worker, body.news);
  const wakeUp = new WakeUp();
  const leave = deps.wakes.subscribe("job", worker.poolId, () => wakeUp.wake());
  try {
    const { answer, freeInMs } = await look(deps, worker, body);
    if (isChange(answer) || !answer.wanted || body.waitMs === 0) return answer;
    // No event tells that another worker has fallen silent.
    await wakeUp.wait(Math.min(body.waitMs, Math.max(FREE_LEAST_MS, freeInMs)), signal);
    return signal.aborted ? answer : (await look(deps, worker, body)).answer;
  } finally {
    leave();
  }
}

function isChange({ jobs, cancel, gone }: TendedJobs): boolean {
  return jobs.length + cancel.length + gone.length > 0;
}

async function takeChanges(deps: Deps, worker: WorkerScope, changes: TendJobs["news"]): Promise<void> {
  const { workspaceId } = worker;
  const polls = changes.flatMap((one): PolledJob[] => {
    const { jobId, lease } = one;
    if (one.type === "polled")
      return [{ jobId, lease, says: cleanText(one.says), stumble: null, agoMs: one.agoMs }];
    if (one.type === "stumbled")
      return [{ jobId, lease, says: null, stumble: cleanText(one.detail), agoMs: one.agoMs }];
    return [];
  });
  if (polls.length > 0)
    await savePolls(deps.database.db, deps.clock, { workspaceId, polls, leaseMs: deps.config.jobLeaseMs });
  const released = changes.filter((one) => one.type === "released");
  if (released.length > 0) {
    await releaseJobs(deps.database.db, { workspaceId, released });
    deps.wakes.publish("job", [worker.poolId]);
  }
  const ends = changes.filter(
    (one) => one.type === "ended" || one.type === "cancelled" || one.type === "left",
  );
  for (let from = 0; from < ends.length; from += ENDS_BATCH) {
    const batch = ends.slice(from, from + ENDS_BATCH);
    const jobIds = batch.map((one) => one.jobId);
    const known = new Map(
      (await findJobs(deps.database.db, { workspaceId, jobIds })).map((row) => [row.id, row]),
    );
    const over = batch.flatMap((one): JobOver[] => {
      const runId = known.get(one.jobId)?.runId;
      if (runId === undefined) return [];
      const common = { jobId: one.jobId, runId, lease: one.lease };
      if (one.type === "ended") return [{ ...common, by: "end", outcome: one.outcome }];
      return [{ ...common, by: one.type === "left" ? "leave" : "settle", outcome: null }];
    });
    const answeredBy = "worker";
    await inTransaction(deps, (tx) => endJobs(tx, deps, { workspaceId, over, answeredBy }));
  }
}

async function look(deps: Deps, worker: WorkerScope, { free, held }: TendJobs): Promise<Looked> {
  const { database, clock, config } = deps;
  const { workspaceId } = worker;
  const leaseMs = config.jobLeaseMs;
  const kept = held.length === 0 ? [] : await renewJobs(database.db, clock, { worker, held, leaseMs });
  const taken = free === 0 ? [] : await takeJobs(database.db, clock, { worker, free, held, leaseMs });
  const freeInMs = await untilJobsFree(database.db, clock, { worker });
  const stateOf = new Map(kept.map((row) => [row.id, row.state]));
  const versionIds = [...new Set(taken.map((row) => row.versionId))];
  const specs = versionIds.length === 0 ? [] : await listSpecs(database.db, { workspaceId, versionIds });
  const answer = {
    jobs: taken.flatMap(tendedOf),
    specs: specs.flatMap(({ versionId, spec }) => {
      const of = taken.find((row) => row.versionId === versionId);
      return of === undefined ? [] : [{ deployment: of.deployment, version: of.version, spec }];
    }),
    cancel: held
      .filter((one) => !one.cancel && stateOf.get(one.jobId) === "cancelling")
      .map((one) => one.jobId),
    gone: held.map((one) => one.jobId).filter((id) => !stateOf.has(id)),
    wanted: freeInMs !== null,
  };
  return { answer, freeInMs: free === 0 || freeInMs === null ? Number.POSITIVE_INFINITY : freeInMs };
}

function tendedOf(row: JobRow): TendedJob[] {
  if (row.lease === null) return [];
  const { id: jobId, lease, runId, deployment, version, name, handle, pollEveryMs } = row;
  const cancel = row.state === "cancelling";
  return [{ jobId, lease, runId, deployment, version, job: name, handle, pollEveryMs, cancel }];
}
