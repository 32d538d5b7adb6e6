import {
  Id,
  Instant,
  type Run,
  type RunPage,
  type RunQuery,
  RunSummary,
  type RunWhy,
  type TaskRun,
  type WaitReason,
} from "@towpath/contract";
import { z } from "zod";
import {
  type Deps,
  pageOf,
  type Queryable,
  readCursor,
  readFeedId,
  readTroubles,
  type Scope,
} from "../../kernel/index.ts";
import { readStartGate } from "../../pools/index.ts";
import { existingRun, listAttempts, listTaskRunRows } from "../history/find.ts";
import { hasEnded } from "../moves/state.ts";
import { NO_NEEDS } from "../needs.ts";
import { listLate } from "../reports/store.ts";
import type { AttemptRow, LateReportRow, RunRow } from "../table.ts";
import { taskRunOf } from "../tasks/wire.ts";
import { computeReason } from "../why/compute.ts";
import { findCircle } from "../why/cycle.ts";
import { expiryReasons } from "../why/expiry.ts";
import { cancellingReasons } from "../why/jobs.ts";
import { limitReasons } from "../why/limits.ts";
import { readWaitFacts, type WaitFacts } from "../why/pool-facts.ts";
import { waitReasons } from "../why/waits.ts";
import { gateReason, reasonsOf, whyOf } from "../why/why.ts";
import { listRunRows } from "./list.ts";
import { runOf, runSummaryOf } from "./wire.ts";

/** The workspace whose runs are read, from any scope, a worker's included. */
type Tenant = Pick<Scope, "workspaceId">;

/** The fields of a run from which the reason of its wait is derived. It has not ended. */
interface LiveRun {
  readonly row: RunRow;
  readonly attempts: readonly AttemptRow[];
  readonly current: AttemptRow | null;
  readonly facts: WaitFacts;
  readonly reasons: WaitReason[];
}

async function readLive(
  deps: Pick<Deps, "clock" | "config">,
  args: { from: Queryable; row: RunRow; attempts: readonly AttemptRow[] },
): Promise<LiveRun> {
  const { from, row, attempts } = args;
  const { workspaceId, poolId, attemptId } = row;
  const current = attempts.find((one) => one.id === attemptId) ?? null;
  const facts = await readWaitFacts(from, deps.clock, { workspaceId, poolId, attemptId });
  const previous = attempts.findLast((one) => one.endedAt !== null) ?? null;
  const mayWait = row.state === "blocked" || (row.state === "running" && current?.limited === true);
  const limits = mayWait ? await limitReasons(from, deps.clock, { workspaceId, runId: row.id }) : [];
  const isBig = row.state === "ready" && row.needs !== NO_NEEDS;
  const compute = isBig ? await computeReason(from, deps.clock, row) : null;
  const mayBeHeld = row.state === "ready" || row.state === "claimed";
  const workerId = current?.workerId ?? null;
  const gate = mayBeHeld ? await readStartGate(from, deps, { workspaceId, poolId, workerId }) : null;
  const name = { workspaceId, runId: row.id };
  const waits = row.state === "suspended" ? await waitReasons(from, { ...name, now: facts.now }) : [];
  const lingers = row.state === "cancelling" && (current === null || current.endedAt !== null);
  const jobs = lingers ? await cancellingReasons(from, name) : [];
  const expiry = await expiryReasons(from, { row, now: facts.now });
  return {
    row,
    attempts,
    current,
    facts,
    reasons: reasonsOf({
      run: row,
      current,
      previous,
      facts,
      compute,
      gate: gateReason(gate, { run: row, current, now: facts.now }),
      limits: [...expiry, ...limits, ...waits, ...jobs],
    }),
  };
}

/**
 * One run with its attempts, and for a run that waits, why.
 * @throws Problem `run-not-found`.
 */
export async function getRun(
  deps: Deps,
  scope: Tenant,
  args: { runId: string; from?: Queryable },
): Promise<Run> {
  const from = args.from ?? deps.database.reads;
  const name = { workspaceId: scope.workspaceId, runId: args.runId };
  const row = await existingRun(from, name);
  const attempts = await listAttempts(from, name);
  const late = await lateOf(from, { workspaceId: name.workspaceId, attempts });
  const { workspaceId } = name;
  const troubles = (await readTroubles(from, { workspaceId, subjectIds: [row.id] })).get(row.id) ?? [];
  if (hasEnded(row)) {
    const facts = { now: row.createdAt, leaseExpiresAt: null };
    return { ...runOf({ row, attempts, late, why: null, facts }), troubles };
  }
  const { current, facts, reasons } = await readLive(deps, { from, row, attempts });
  const leaseExpiresAt = current?.leaseExpiresAt ?? null;
  const known = { row, attempts, late, why: whyOf(reasons) };
  return { ...runOf({ ...known, facts: { now: facts.now, leaseExpiresAt } }), troubles };
}

/**
 * Why a run does not continue, and what would unblock it.
 * @throws Problem `run-not-found`.
 */
export async function getRunWhy(
  deps: Deps,
  scope: Tenant,
  args: { runId: string; from?: Queryable },
): Promise<RunWhy> {
  const from = args.from ?? deps.database.reads;
  const name = { workspaceId: scope.workspaceId, runId: args.runId };
  const row = await existingRun(from, name);
  if (hasEnded(row)) return { runId: row.id, state: row.state, reasons: [], cycle: [], cycleText: null };
  const attempts = await listAttempts(from, name);
  const { reasons } = await readLive(deps, { from, row, attempts });
  return { runId: row.id, state: row.state, reasons, ...(await findCircle(from, deps.clock, name)) };
}

/** The late reports on these attempts. An attempt that no worker has claimed yet has none. */
async function lateOf(
  from: Queryable,
  args: { workspaceId: string; attempts: readonly AttemptRow[] },
): Promise<LateReportRow[]> {
  const attemptIds = args.attempts.filter((one) => one.epoch > 0).map((one) => one.id);
  return attemptIds.length === 0 ? [] : listLate(from, { workspaceId: args.workspaceId, attemptIds });
}

/** The filters of a list of runs, parsed by the contract. */
export type RunListQuery = Pick<z.output<typeof RunQuery>, "limit"> & Partial<z.output<typeof RunQuery>>;

/**
 * Runs of the workspace without their parameters, newest first by default. Pages by creation, so that runs that are
 * created, moved or archived meanwhile are neither repeated nor missing.
 * @throws Problem `bad-request` for a cursor that no list gave out.
 */
export async function listRuns(
  deps: Deps,
  scope: Tenant,
  query: RunListQuery,
): Promise<{ items: RunSummary[]; next: string | null }> {
  const after = readCursor(query.cursor, z.tuple([Instant, Id]));
  const listed = await listRunRows(deps.database.reads, deps.clock, {
    ...query,
    workspaceId: scope.workspaceId,
    limit: query.limit + 1,
    order: query.order ?? "newest",
    after: after === null ? null : { createdAt: after[0], id: after[1] },
  });
  return pageOf(listed, {
    limit: query.limit,
    item: ({ row, ...facts }) => runSummaryOf(row, facts),
    key: ({ row }) => [row.createdAt.toISOString(), row.id],
  });
}

/**
 * A page of `listRuns`. The first page has the feed's position from before it was read.
 * @throws Problem `bad-request` for a cursor that no list gave out.
 */
export async function listRunPage(deps: Deps, scope: Tenant, query: RunListQuery): Promise<RunPage> {
  const feedId = query.cursor === undefined ? await readFeedId(deps) : null;
  return { ...(await listRuns(deps, scope, query)), feedId };
}

/**
 * The current summary of a run, with labels.
 * @throws Problem `run-not-found`.
 */
export async function getRunSummary(
  deps: Deps,
  scope: Tenant,
  args: { runId: string; from?: Queryable },
): Promise<RunSummary> {
  return RunSummary.parse(await getRun(deps, scope, args));
}

/**
 * Task runs of a run, in order of attempt and first appearance.
 * @throws Problem `run-not-found`; `bad-request` for a cursor that no list gave out.
 */
export async function listTaskRuns(
  deps: Deps,
  scope: Tenant,
  args: { runId: string; limit: number; cursor?: string | undefined; from?: Queryable },
): Promise<{ items: TaskRun[]; next: string | null }> {
  const from = args.from ?? deps.database.reads;
  const name = { workspaceId: scope.workspaceId, runId: args.runId };
  await existingRun(from, name);
  const [attempt, ord] = readCursor(args.cursor, z.tuple([z.int32(), z.int()])) ?? [0, 0];
  const found = await listTaskRunRows(from, { ...name, limit: args.limit + 1, after: { attempt, ord } });
  return pageOf(found, { limit: args.limit, item: taskRunOf, key: (row) => [row.attempt, row.ord] });
}
