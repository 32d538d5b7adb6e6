import {
  FINAL_RUN_STATES,
  isFinalRunState,
  RUN_STATES,
  RUN_TRANSITIONS,
  type RunState,
  type Transition,
} from "@towpath/contract";
import type { CreatedRun, Scene } from "../scene.ts";

/** A breach of an invariant: its number and a description. */
export interface Breach {
  readonly invariant: number;
  readonly seen: string;
}

interface RunRow {
  readonly id: string;
  readonly state: RunState;
  readonly attempts: number;
  readonly copies: number;
  readonly keys: number;
  /** True if a person created it, false for a schedule or a backfill. */
  readonly asked: boolean;
}

interface AttemptRow {
  readonly id: string;
  readonly run_id: string;
  readonly ordinal: number;
  readonly state: string;
  readonly epoch: number;
  readonly nonce: string | null;
  readonly leased: boolean;
  readonly ended: boolean;
}

/** The parts of the database that invariants need. */
export interface Tables {
  readonly runs: readonly RunRow[];
  readonly attempts: readonly AttemptRow[];
  readonly openTasks: number;
}

/** Reads the database, live tables and history together. */
export async function readTables(scene: Scene): Promise<Tables> {
  const { sql } = scene;
  const runs = await sql<RunRow[]>`
    with every as (select id, state, attempts, trigger from run union all select id, state, attempts, trigger from run_history)
    select e.id, min(e.state) as state, min(e.attempts) as attempts, count(*)::int as copies,
      bool_or(e.trigger::jsonb ->> 'kind' not in ('schedule', 'backfill')) as asked,
      (select count(*)::int from run_key k where k.run_id = e.id) as keys
    from every e group by e.id`;
  const attempts = await sql<AttemptRow[]>`
    select id, run_id, ordinal, state, epoch::int as epoch, nonce, lease_expires_at is not null as leased,
      ended_at is not null as ended
    from attempt order by run_id, ordinal`;
  const [tasks] = await sql<{ open: number }[]>`
    select count(*)::int as open from task_run t join attempt a on a.id = t.attempt_id
    where t.ended_at is null and a.ended_at is not null`;
  return { runs, attempts, openTasks: tasks?.open ?? 0 };
}

/** Invariant 1: an acknowledged creation exists exactly once, and repeating it finds it. */
export async function createdOnce(scene: Scene, tables: Tables): Promise<Breach[]> {
  const breaches: Breach[] = [];
  const known = new Map(tables.runs.map((row) => [row.id, row]));
  for (const run of scene.runs) {
    const row = known.get(run.id);
    if (scene.travelled !== null && !scene.travelled.past.runs.has(run.id)) {
      breaches.push(...(await halfThere(scene, run)));
      continue;
    }
    if (row?.copies !== 1 || row.keys !== 1)
      breaches.push({
        invariant: 1,
        seen: `run ${run.id} exists ${row?.copies ?? 0} times, its key ${row?.keys ?? 0}`,
      });
    if (run.idempotencyKey === null) continue;
    const holders = await scene.sql<{ run_id: string }[]>`
      select run_id from idempotency_key where key = ${run.idempotencyKey}`;
    if (holders.length !== 1 || holders[0]?.run_id !== run.id)
      breaches.push({
        invariant: 1,
        seen: `idempotency key ${run.idempotencyKey} belongs to ${holders.length} runs`,
      });
  }
  for (const { id, asked } of tables.runs)
    if (asked && !scene.runs.some((run) => run.id === id))
      breaches.push({ invariant: 1, seen: `run ${id} exists, and no request for it was acknowledged` });
  return breaches;
}

/** Invariant 1: a run that was lost with the database is gone completely. Somebody may have created it again under its id. */
async function halfThere(scene: Scene, { id, idempotencyKey }: CreatedRun): Promise<Breach[]> {
  const rows = await scene.sql<{ place: string }[]>`
    select 'run' as place from run where id = ${id}
    union all select 'run_key' from run_key where run_id = ${id}
    union all select 'idempotency_key' from idempotency_key where key = ${idempotencyKey ?? ""}
    union all select 'attempt' from attempt where run_id = ${id}
    union all select 'wait' from wait where run_id = ${id}`;
  const places = rows.map(({ place }) => place).join();
  return places === ""
    ? []
    : [{ invariant: 1, seen: `run ${id} was lost with the database, and is still in ${places}` }];
}

/** Invariant 2: at most one active attempt and lease; nonces never repeat. */
export function oneLease({ attempts }: Tables): Breach[] {
  const breaches: Breach[] = [];
  for (const [runId, own] of Map.groupBy(attempts, (row) => row.run_id)) {
    const active = own.filter((row) => !row.ended);
    if (active.length > 1)
      breaches.push({ invariant: 2, seen: `run ${runId} has ${active.length} active attempts` });
    const ordinals = own.map((row) => row.ordinal).join();
    if (ordinals !== own.map((_, index) => index + 1).join())
      breaches.push({ invariant: 2, seen: `run ${runId} has attempts ${ordinals}` });
  }
  const nonces = attempts.flatMap(({ nonce }) => nonce ?? []);
  if (new Set(nonces).size !== nonces.length)
    breaches.push({ invariant: 2, seen: "a nonce was given twice" });
  return breaches;
}

/** The possible states of an ended run's last attempt. A run may end before any attempt. */
const LAST_ATTEMPT: Readonly<Record<string, readonly string[]>> = {
  completed: ["completed"],
  failed: ["failed"],
  crashed: ["crashed"],
  cancelled: ["cancelled", "failed", "crashed"],
};

/** Invariant 4: only moves of the transition table, final states stay, and a run's state follows from its attempts. */
export async function lawfulMoves(scene: Scene, tables: Tables): Promise<Breach[]> {
  const breaches: Breach[] = [];
  const changes = await scene.sql<{ run_id: string; state: RunState }[]>`
    select run_id, data ->> 'state' as state from change where kind = 'run' order by id`;
  for (const [runId, told] of Map.groupBy(changes, (row) => row.run_id)) {
    for (const [index, { state }] of told.entries()) {
      const before = told[index - 1]?.state;
      if (before !== undefined && !mayMove(before, state))
        breaches.push({ invariant: 4, seen: `run ${runId} went from ${before} to ${state}` });
    }
    const row = tables.runs.find(({ id }) => id === runId);
    if (told.at(-1)?.state !== row?.state)
      breaches.push({
        invariant: 4,
        seen: `run ${runId} is ${row?.state}, its last changes ${told.at(-1)?.state}`,
      });
  }
  for (const row of tables.runs) {
    const own = tables.attempts.filter((attempt) => attempt.run_id === row.id);
    const last = own.at(-1);
    if (own.length !== row.attempts)
      breaches.push({
        invariant: 4,
        seen: `run ${row.id} counts ${row.attempts} attempts and has ${own.length}`,
      });
    if (!isFinalRunState(row.state)) continue;
    if (last !== undefined && LAST_ATTEMPT[row.state]?.includes(last.state) !== true)
      breaches.push({ invariant: 4, seen: `run ${row.id} is ${row.state}, its last attempt ${last.state}` });
    const open = own.filter((attempt) => !attempt.ended);
    if (open.length > 0) breaches.push({ invariant: 4, seen: `run ${row.id} has ended, not its attempt` });
  }
  return breaches;
}

function mayMove(from: RunState, to: RunState): boolean {
  if (FINAL_RUN_STATES.includes(from) || !RUN_STATES.includes(to)) return false;
  return Object.values(RUN_TRANSITIONS).some((row) => {
    const move: Transition<RunState> = row;
    return move.from.includes(from) && move.to.includes(to);
  });
}

/** Invariant 9: nothing is left once everything has ended: no lease, no open task of an ended attempt. */
export function nothingHeld({ attempts, openTasks, runs }: Tables): Breach[] {
  const allEnded = runs.every(({ state }) => isFinalRunState(state));
  const leased = attempts.filter((row) => row.leased && (row.ended || allEnded));
  return [
    ...leased.map((row) => ({ invariant: 9, seen: `attempt ${row.id} has ended and is leased` })),
    ...(openTasks > 0 ? [{ invariant: 9, seen: `${openTasks} task runs of ended attempts are open` }] : []),
  ];
}

/** Invariant 10: after an acknowledged cancel the run gets no new attempt, and ends. */
export function cancelHolds(scene: Scene, { runs }: Tables): Breach[] {
  return scene.runs.flatMap((run) => {
    const row = runs.find(({ id }) => id === run.id);
    if (run.cancelledAt === null || row === undefined) return [];
    const breaches: Breach[] = [];
    if (row.attempts > run.cancelledAt)
      breaches.push({ invariant: 10, seen: `run ${run.id} got an attempt after it was cancelled` });
    if (row.state !== "cancelled" && row.state !== "completed")
      breaches.push({ invariant: 10, seen: `run ${run.id} was cancelled and is ${row.state}` });
    return breaches;
  });
}
