import { type Trigger, uuidv7 } from "@towpath/contract";
import {
  type Deps,
  dateOf,
  inTransaction,
  type PeriodicJob,
  perRowJob,
  type Tx,
} from "../../kernel/index.ts";
import { createIn } from "../../runs/index.ts";
import { readNowMs } from "../store.ts";
import { intervalStartOf } from "../timing/timing.ts";
import { inOrder } from "./order.ts";
import * as store from "./store.ts";

/** The most runs that one round creates for one backfill. */
const ROUND_RUNS_MAX = 100;

async function createAt(tx: Tx, deps: Deps, args: { row: store.BackfillRow; atMs: number }): Promise<void> {
  const { row, atMs } = args;
  const { workspaceId, deployment, parameters, settings } = row;
  const runId = uuidv7(deps.clock.nowMs());
  const trigger: Trigger = {
    kind: "backfill",
    backfillId: row.id,
    schedule: row.schedule,
    dueAt: dateOf(atMs).toISOString(),
    intervalStart: dateOf(intervalStartOf(settings, atMs)).toISOString(),
  };
  await store.insertBackfillRun(tx, { backfillId: row.id, workspaceId, at: dateOf(atMs), runId });
  const { priority, tags, expireAfterMs } = settings;
  const request = { id: runId, deployment, parameters, priority, tags, expireAfterMs };
  await createIn(tx, deps, { workspaceId, request, trigger });
}

/** Creates as many runs as the limit allows, and ends the backfill once all of them have ended. */
async function moveOn(tx: Tx, deps: Deps, row: store.BackfillRow): Promise<void> {
  const { workspaceId, id } = row;
  await store.noteEnds(tx, row);
  const open = (await store.selectOpen(tx, row)).length;
  const room = Math.min(row.concurrency - open, row.instants - row.created, ROUND_RUNS_MAX);
  const instants = inOrder(row, row.cursorAt);
  let [created, cursorAt] = [row.created, row.cursorAt];
  for (; created < row.created + room; created++) {
    const next = instants.next();
    if (next.done) break;
    await createAt(tx, deps, { row, atMs: next.value });
    cursorAt = dateOf(next.value);
  }
  const over = created === row.instants && open === 0 && created === row.created;
  const ended = over ? { state: "completed" as const, endedAt: dateOf(await readNowMs(tx, deps.clock)) } : {};
  await store.updateBackfill(tx, { workspaceId, id, set: { created, cursorAt, ...ended } });
}

/** Advances backfills whose runs have ended. */
export const backfillPeriodicJob = perRowJob<store.BackfillRow>({
  name: "backfills",
  everyMs: 2_000,
  hold: "locks",
  batch: store.BACKFILL_BATCH,
  repeats: true,
  nextInMs: (_deps, among) => store.untilBackfillMoves(among),
  find: (from, _deps, which) => store.lockMovable(from, which),
  async act(tx, deps, rows) {
    for (const row of rows) await moveOn(tx, deps, row);
  },
});

/** The most backfills that one round deletes: each may have thousands of runs. */
const FORGET_BATCH = 10;

/** Deletes backfills that ended longer ago than the retention of history. */
export const forgetBackfillsPeriodicJob: PeriodicJob = {
  name: "forget-backfills",
  everyMs: 3_600_000,
  async runOnce(deps) {
    const { clock, config } = deps;
    const which = { clock, retentionMs: config.historyRetentionMs, limit: FORGET_BATCH };
    const count = await inTransaction(deps, (tx) => store.forgetBackfills(tx, which));
    return { worked: count === FORGET_BATCH };
  },
};
