import {
  type Checkpoint,
  type CheckpointPage,
  checkpointsMax,
  type Fence,
  failureStands,
  Id,
  type OverWait,
  Problem,
  sameFence,
} from "@towpath/contract";
import { z } from "zod";
import {
  cursorOf,
  type Deps,
  pageOf,
  type Queryable,
  readCursor,
  type WorkerScope,
} from "../../kernel/index.ts";
import { findRun, type RunName } from "../history/find.ts";
import type { AttemptRow, RunRow, TaskRunRow } from "../table.ts";
import { listOverWaits } from "../waits/store.ts";
import {
  findAttempt,
  listAttemptStates,
  listCheckpointRows,
  listLatestAttempts,
} from "./checkpoints-store.ts";

/** Behind every attempt of a run. */
const ORDINAL_MAX = 2_147_483_647;
const SECOND_ATTEMPT = 2;

/** Behind a checkpoint of one of the sources; or, once there are no more of them, behind a wait. */
const Cursor = z.union([z.tuple([z.int(), z.int32(), z.int()]), z.tuple([z.literal("waits"), Id])]);

/** Before every id. */
const FIRST_ID = "00000000-0000-0000-0000-000000000000";

/** The most characters of the stack of an error that a later attempt throws again. There may be very many errors. */
const STACK_CHARS = 2_000;

/** A run whose checkpoints count, and the first attempt whose checkpoints do not. */
interface Source {
  readonly runId: string;
  readonly before: number;
}

/**
 * The checkpoints from which an attempt continues, oldest first: refs, by path, of its own run and of the runs that it
 * is a rerun of. After them the settled waits of its run, so that a loop need not ask for each again. The fence of the
 * asking attempt limits a worker to the runs that it got.
 * @throws Problem `stale-fence`; `bad-request` for a cursor that no page gave out; `run-not-found` for a rerun whose
 * origin was deleted before the rerun reported anything.
 */
export async function listCheckpoints(
  deps: Deps,
  worker: WorkerScope,
  args: z.infer<typeof Fence> & { after: string | null },
): Promise<CheckpointPage> {
  const { db } = deps.database;
  const held = await heldUnder(deps, worker, args);
  const from = readCursor(args.after ?? undefined, Cursor) ?? ([0, 0, 0] as const);
  if (from[0] === "waits") return { items: [], ...(await waitsAfter(db, held, from[1])) };
  const page = await checkpointsAfter(db, held, from);
  return page.next === null ? { ...page, ...(await waitsAfter(db, held, FIRST_ID)) } : page;
}

async function waitsAfter(
  from: Queryable,
  held: AttemptRow,
  after: string,
): Promise<Omit<CheckpointPage, "items">> {
  const { workspaceId, runId } = held;
  const rows = await listOverWaits(from, { workspaceId, runId, after, limit: checkpointsMax });
  const last = rows.at(-1);
  const next = rows.length < checkpointsMax || last === undefined ? null : cursorOf(["waits", last.waitId]);
  return { waits: rows satisfies OverWait[], next };
}

async function checkpointsAfter(
  db: Queryable,
  held: AttemptRow,
  [index, attempt, ord]: readonly [number, number, number],
): Promise<CheckpointPage> {
  const sources = await sourcesOf(db, held);
  const found: { row: TaskRunRow; index: number }[] = [];
  for (const [at, source] of sources.entries()) {
    const limit = checkpointsMax + 1 - found.length;
    if (at < index || limit === 0) continue;
    const after = at === index ? { attempt, ord } : { attempt: 0, ord: 0 };
    const rows = await listCheckpointRows(db, { workspaceId: held.workspaceId, ...source, limit, after });
    found.push(...rows.map((row) => ({ row, index: at })));
  }
  const { items, next } = pageOf(found, {
    limit: checkpointsMax,
    item: ({ row }) => row,
    key: ({ row, index: at }) => [at, row.attempt, row.ord],
  });
  const left = await latestOf(db, { rows: items, runs: sources });
  const stands = await standingIn(db, held.workspaceId, left);
  return { items: left.map((row) => checkpointOf(row, { own: row.runId === held.runId, stands })), next };
}

/**
 * The latest row under each path of each run. So the cost of a resume does not grow with the number of attempts.
 * History may keep earlier rows too; of two under one path the later counts.
 */
async function latestOf(
  from: Queryable,
  args: { rows: readonly TaskRunRow[]; runs: readonly Source[] },
): Promise<TaskRunRow[]> {
  const left: TaskRunRow[] = [];
  for (const { runId, before } of args.runs) {
    const own = args.rows.filter((row) => row.runId === runId);
    const [first] = own;
    // No later attempt has replaced what only a first attempt left.
    if (first === undefined || before <= SECOND_ATTEMPT) {
      left.push(...own);
      continue;
    }
    const pathKeys = own.map((row) => row.pathKey);
    const latest = await listLatestAttempts(from, {
      workspaceId: first.workspaceId,
      runId,
      before,
      pathKeys,
    });
    left.push(
      ...own.filter((row) => row.attempt >= (latest.get(Buffer.from(row.pathKey).toString("hex")) ?? 1)),
    );
  }
  return left;
}

async function sourcesOf(from: Queryable, held: AttemptRow): Promise<Source[]> {
  const { workspaceId, runId, ordinal } = held;
  const own = { runId, before: ordinal };
  const run = await findRun(from, { workspaceId, runId });
  const earlier = run === null ? [] : await lineageOf(from, run);
  const gone = run === null ? null : goneOrigin(run, earlier);
  if (gone !== null) {
    await refuseWithoutOwn(from, { ...own, workspaceId, gone });
    // It keeps its position among the sources, since older cursors count it.
    return [{ runId: gone, before: ORDINAL_MAX }, own];
  }
  const kept = earlier.filter((one) => one.checkpointsDeletedAt === null);
  return [...kept.map(({ id }) => ({ runId: id, before: ORDINAL_MAX })), own];
}

/** The run that this one is a rerun of from its failure, if its history is deleted. */
function goneOrigin({ trigger }: RunRow, earlier: readonly RunRow[]): string | null {
  if (trigger.kind !== "rerun" || !trigger.fromFailure) return null;
  return earlier.some((one) => one.id === trigger.runId) ? null : trigger.runId;
}

/**
 * Refuses a rerun whose origin's history is deleted: it would repeat the tasks that it promised to reuse. Once an
 * earlier attempt of the rerun has reported the reused tasks, it continues from those.
 * @throws Problem `run-not-found`.
 */
async function refuseWithoutOwn(
  from: Queryable,
  args: RunName & { before: number; gone: string },
): Promise<void> {
  const { gone, ...mine } = args;
  const own = await listCheckpointRows(from, { ...mine, limit: 1, after: { attempt: 0, ord: 0 } });
  if (own.length > 0) return;
  throw new Problem(
    "run-not-found",
    `Run ${args.runId} reuses results of run ${gone}, but the history of run ${gone} was deleted. Rerun run ${args.runId} as a whole.`,
  );
}

async function heldUnder(deps: Deps, worker: WorkerScope, fence: z.infer<typeof Fence>): Promise<AttemptRow> {
  const { workspaceId, workerId } = worker;
  const held = await findAttempt(deps.database.db, { workspaceId, attemptId: fence.attemptId });
  const isCurrent =
    held !== null &&
    held.nonce !== null &&
    held.workerId === workerId &&
    held.endedAt === null &&
    sameFence({ attemptId: held.id, epoch: held.epoch, nonce: held.nonce }, fence);
  if (!isCurrent)
    throw new Problem("stale-fence", `Attempt ${fence.attemptId} has ended, or belongs to another claim.`);
  return held;
}

function checkpointOf(
  row: TaskRunRow,
  { own, stands }: { own: boolean; stands: (row: TaskRunRow) => boolean },
): Checkpoint {
  const { path, kind, codeVersion, inputHash, result } = row;
  const at = (row.endedAt ?? row.createdAt).toISOString();
  const left = { path, kind, own, at, codeVersion, inputHash, result };
  if (!stands(row) || row.error === null) return left;
  const { stack } = row.error;
  return {
    ...left,
    error: { ...row.error, ...(stack !== undefined && { stack: stack.slice(0, STACK_CHARS) }) },
  };
}

/** The longest chain of reruns that is followed back. */
const LINEAGE_MAX = 16;

/**
 * The runs whose results a run may reuse, oldest first: the run that it reruns from its failure, the run that this one reran, and
 * so on. Without the run itself.
 */
export async function lineageOf(
  from: Queryable,
  run: Pick<RunRow, "workspaceId" | "trigger">,
): Promise<RunRow[]> {
  const found: RunRow[] = [];
  for (let next = run; found.length < LINEAGE_MAX; ) {
    const { trigger, workspaceId } = next;
    if (trigger.kind !== "rerun" || !trigger.fromFailure) break;
    const earlier = await findRun(from, { workspaceId, runId: trigger.runId });
    if (earlier === null) break;
    found.unshift(earlier);
    next = earlier;
  }
  return found;
}

/** The first run of the chain of reruns that ends with this run. */
export function originOf(run: Pick<RunRow, "id" | "trigger">): string {
  return run.trigger.kind === "rerun" && run.trigger.fromFailure ? run.trigger.origin : run.id;
}

/** Reads, for rows of ended attempts, whether they are failures whose errors later attempts throw again. */
export async function standingIn(
  from: Queryable,
  workspaceId: string,
  rows: readonly TaskRunRow[],
): Promise<(row: TaskRunRow) => boolean> {
  const unknown = rows.filter(({ state, fatal }) => state === "failed" && fatal === null);
  const attemptIds = [...new Set(unknown.map(({ attemptId }) => attemptId))];
  const states =
    attemptIds.length === 0 ? new Map() : await listAttemptStates(from, { workspaceId, attemptIds });
  return (row) => failureStands(row, states.get(row.attemptId));
}
