import {
  BACKFILL_INSTANTS_MAX,
  type Backfill,
  type CreateBackfill,
  Id,
  Instant,
  Problem,
} from "@towpath/contract";
import { z } from "zod";
import { checkRunParameters, getLatestVersion } from "../../deployments/index.ts";
import {
  afterCommit,
  type Deps,
  DUE,
  dateOf,
  inTransaction,
  type PageInput,
  pageOf,
  readCursor,
  readTroubles,
  type Scope,
  type Tx,
} from "../../kernel/index.ts";
import { mustCancel } from "../../runs/index.ts";
import { scheduleNamed } from "../schedules.ts";
import { lockSchedule, readNowMs } from "../store.ts";
import { instantsOf } from "../timing/timing.ts";
import { inOrder } from "./order.ts";
import { findRerun } from "./reruns.ts";
import * as store from "./store.ts";

/** The number of instants in an answer. */
const SHOWN = 10;

function firstOf(row: Parameters<typeof inOrder>[0]): number[] {
  const first: number[] = [];
  for (const at of inOrder(row, null)) {
    if (first.length >= SHOWN) break;
    first.push(at);
  }
  return first;
}

function shown(row: store.ListedBackfill, progress: store.Progress | undefined, dryRun = false): Backfill {
  const first = row.firstInstants ?? firstOf({ ...row, skips: row.skips ?? [] });
  return {
    id: dryRun ? null : row.id,
    deployment: row.deployment,
    schedule: row.schedule,
    from: row.from.toISOString(),
    to: row.to.toISOString(),
    order: row.order,
    only: row.only,
    concurrency: row.concurrency,
    state: row.state,
    instants: row.instants,
    created: row.created,
    ended: progress?.ended ?? 0,
    failed: progress?.failed ?? 0,
    first: first.map((at) => dateOf(at).toISOString()),
    createdBy: row.createdBy,
    createdAt: row.createdAt.toISOString(),
    endedAt: row.endedAt?.toISOString() ?? null,
  };
}

function refused(path: string, message: string, suggestion: string): Problem {
  return new Problem("invalid-backfill", `${path}: ${message}`, { faults: [{ path, message, suggestion }] });
}

/** Counts the instants in a range. @throws Problem `invalid-backfill` if there are none, or too many. */
function countInstants(range: Pick<store.BackfillRow, "settings" | "from" | "to">): number {
  if (range.from >= range.to) throw refused("to", "is not after `from`", "`to` is exclusive");
  let count = 0;
  for (const _ of inOrder({ ...range, order: "oldest", skips: [] }, null)) {
    count += 1;
    if (count > BACKFILL_INSTANTS_MAX) {
      throw refused(
        "to",
        `the range has more than ${BACKFILL_INSTANTS_MAX} scheduled times`,
        "split it into several backfills",
      );
    }
  }
  if (count === 0)
    throw refused(
      "from",
      "the schedule has no time in this range",
      "`towpath schedule history` lists its past times",
    );
  return count;
}

/** Refuses a range with instants to come: the schedule runs those itself. */
function checkPast(range: Pick<store.BackfillRow, "settings" | "to">, nowMs: number): void {
  const nextMs = instantsOf(range.settings).next(nowMs);
  if (nextMs === null || nextMs >= range.to.getTime()) return;
  const next = dateOf(nextMs).toISOString();
  throw refused("to", `the range has times in the future, from ${next}`, `end it at ${next} or before`);
}

async function described(
  deps: Pick<Deps, "database">,
  rows: readonly store.ListedBackfill[],
): Promise<Backfill[]> {
  const [first] = rows;
  if (first === undefined) return [];
  const which = { workspaceId: first.workspaceId, ids: rows.map((row) => row.id) };
  const progress = await store.readProgress(deps.database.db, which);
  const { workspaceId, ids: subjectIds } = which;
  const troubles = await readTroubles(deps.database.db, { workspaceId, subjectIds });
  return rows.map((row) => ({ ...shown(row, progress.get(row.id)), troubles: troubles.get(row.id) ?? [] }));
}

function sameRequest(there: store.BackfillRow, asked: store.BackfillRow): boolean {
  const what = (row: store.BackfillRow) =>
    JSON.stringify([row.deployment, row.schedule, row.from, row.to, row.order, row.concurrency, row.only]);
  return what(there) === what(asked);
}

/** The instants that `only` leaves out: those with runs, and those that running backfills have yet to run. */
async function coveredInstants(tx: Tx, args: store.Covering): Promise<number[]> {
  const running = await store.selectRunning(tx, args);
  const planned = running
    .flatMap((row) => [...inOrder(row, row.cursorAt)])
    .filter((at) => at >= args.from.getTime() && at < args.to.getTime());
  return [...new Set([...(await store.selectCovered(tx, args)), ...planned])];
}

async function rowOf(
  tx: Tx,
  deps: Deps,
  args: { scope: Scope; deployment: string; request: CreateBackfill; rerun: readonly string[] },
): Promise<store.BackfillRow> {
  const { workspaceId, actor } = args.scope;
  const { deployment, request } = args;
  const named = { workspaceId, deployment, name: request.schedule };
  // A removal of the deployment waits for this lock, and then finds the backfill.
  await lockSchedule(tx, named);
  const { id: scheduleId, settings } = await scheduleNamed(tx, named);
  const version = await getLatestVersion(tx, { workspaceId, name: deployment });
  const parameters = request.parameters ?? settings.parameters;
  if (!version.spec.dueInput) await checkRunParameters(deps, { workspaceId, tx, version, parameters });
  const range = { settings, from: new Date(request.from), to: new Date(request.to) };
  const all = countInstants(range);
  const nowMs = await readNowMs(tx, deps.clock);
  checkPast(range, nowMs);
  const { only, schedule } = request;
  const about = { ...range, workspaceId, deployment, schedule };
  const { rerun } = args;
  const skips = only === "all" ? [] : await coveredInstants(tx, { ...about, scheduleId, only, rerun });
  const instants = only === "all" ? all : [...inOrder({ ...range, order: "oldest", skips }, null)].length;
  return {
    ...range,
    only,
    skips,
    firstInstants: firstOf({ ...range, order: request.order, skips }),
    id: request.id,
    workspaceId,
    deployment,
    schedule: request.schedule,
    parameters,
    order: request.order,
    concurrency: request.concurrency,
    state: "running",
    instants,
    created: 0,
    cursorAt: null,
    createdBy: actor.name,
    createdAt: dateOf(nowMs),
    endedAt: null,
  };
}

/**
 * Creates runs for past instants of a schedule, a limited number at a time. Idempotent by id.
 * @throws Problem `schedule-not-found`; `invalid-backfill` naming the field; `invalid-parameters`; `backfill-conflict`
 * if the id belongs to another request.
 */
export async function createBackfill(
  deps: Deps,
  args: { scope: Scope; deployment: string; request: CreateBackfill },
): Promise<Backfill> {
  const rerun = await findRerun(deps, args);
  return inTransaction(deps, async (tx) => {
    const row = await rowOf(tx, deps, { ...args, rerun });
    if (args.request.dryRun) return shown(row, undefined, true);
    if (await store.insertBackfill(tx, row)) {
      afterCommit(tx, "backfills", ({ wakes }) => wakes.publish("change", [DUE]));
      return shown(row, undefined);
    }
    const there = await store.selectBackfill(tx, row);
    if (there === null || !sameRequest(there, row))
      throw new Problem("backfill-conflict", `Backfill ${row.id} already exists with other settings.`);
    return shown(there, (await store.readProgress(tx, { ...row, ids: [row.id] })).get(row.id));
  });
}

/** Backfills, newest first. */
export async function listBackfills(
  deps: Pick<Deps, "database">,
  args: { scope: Scope; deployment?: string | undefined } & PageInput,
): Promise<{ items: Backfill[]; next: string | null }> {
  const before = readCursor(args.cursor, z.tuple([Instant, Id]));
  const rows = await store.selectBackfills(deps.database.reads, {
    workspaceId: args.scope.workspaceId,
    deployment: args.deployment ?? null,
    before,
    limit: args.limit,
  });
  const page = pageOf(rows, {
    limit: args.limit,
    item: (row) => row,
    key: (row) => [row.createdAt.toISOString(), row.id],
  });
  return { items: await described(deps, page.items), next: page.next };
}

/**
 * Cancels a backfill: it creates no further runs, and its open runs are cancelled. A repeated call changes nothing.
 * @throws Problem `backfill-not-found`.
 */
export async function cancelBackfill(
  deps: Deps,
  args: { scope: Scope; backfillId: string },
): Promise<Backfill> {
  const { workspaceId } = args.scope;
  const name = { workspaceId, id: args.backfillId };
  const row = await inTransaction(deps, async (tx) => {
    const held = await store.lockBackfill(tx, name);
    if (held === null) throw new Problem("backfill-not-found", `There is no backfill ${args.backfillId}.`);
    if (held.state !== "running") return held;
    await store.noteEnds(tx, name);
    for (const runId of await store.selectOpen(tx, name))
      await mustCancel(tx, deps, { workspaceId, runId, reason: "its backfill was cancelled" });
    const ended = { state: "cancelled" as const, endedAt: dateOf(await readNowMs(tx, deps.clock)) };
    await store.updateBackfill(tx, { ...name, set: ended });
    return { ...held, ...ended };
  });
  const [answer] = await described(deps, [row]);
  if (answer === undefined) throw new Problem("internal", "A backfill could not be described.");
  return answer;
}
