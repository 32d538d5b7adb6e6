import {
  type Amounts,
  FINAL_ATTEMPT_STATES,
  FINAL_RUN_STATES,
  JOB_TRANSITIONS,
  type JobState,
  lacking,
  RUN_TRANSITIONS,
  type RunState,
  sumOf,
  type Transition,
} from "@towpath/contract";
import { expect } from "vitest";
import { sql } from "#sql";
import { SLOT_FAULTS } from "../../slot-faults.fixture.ts";
import type { Tenancy, TestEnv } from "../../test-env.fixture.ts";
import { readNeeds } from "../needs.ts";

/** A workspace's runs, attempts and jobs in the database. */
export interface States extends Record<string, unknown> {
  readonly runs: { id: string; state: RunState; attempts: number }[];
  readonly attempts: {
    id: string;
    run: string;
    state: string;
    epoch: number;
    nonce: string;
    /** Whether it runs only a hook, and whether a worker has started it. */
    hook: boolean;
    started: boolean;
    /** The end of its lease. Null: no worker holds it. */
    lease: string | null;
  }[];
  readonly jobs: { id: string; run: string; state: JobState; handle: string | null }[];
}

/** The model's memory of a history, as far as invariants need it. */
export interface Remembered {
  /** Ids of the runs whose creation was acknowledged. */
  readonly created: ReadonlySet<string>;
  /** How many attempts a run had when its cancellation was acknowledged. */
  readonly cancelled: ReadonlyMap<string, number>;
  /** The nonce of each claim that was given out, by attempt and epoch. */
  readonly nonces: ReadonlyMap<string, string>;
}

/** Reads the database. */
export async function readStates(testEnv: TestEnv, tenancy: Tenancy): Promise<States> {
  const { workspaceId } = tenancy.scope;
  const [found] = await testEnv.deps.database.db.execute<States>(sql`select
    (select coalesce(json_agg(json_build_object('id', id, 'state', state, 'attempts', attempts) order by id), '[]')
      from run where workspace_id = ${workspaceId}) as runs,
    (select coalesce(json_agg(json_build_object('id', id, 'run', run_id, 'state', state, 'epoch', epoch, 'nonce', nonce,
      'hook', hook_until is not null, 'started', started_at is not null, 'lease', lease_expires_at) order by id), '[]')
      from attempt where workspace_id = ${workspaceId}) as attempts,
    (select coalesce(json_agg(json_build_object('id', id, 'run', run_id, 'state', state, 'handle', handle::text) order by id), '[]')
      from job where workspace_id = ${workspaceId}) as jobs`);
  return found ?? { runs: [], attempts: [], jobs: [] };
}

/** Whether a table of states has a path from one state to the other. */
function reachable<State extends string>(
  table: Record<string, Transition<State>>,
  args: { from: State; to: State },
): boolean {
  const seen = new Set<State>([args.from]);
  for (const state of seen)
    for (const move of Object.values(table))
      if (move.from.includes(state)) for (const next of move.to) seen.add(next);
  return seen.has(args.to);
}

/** Checks one step by the states before and after it. */
export function checkStep(known: Remembered, args: { before: States; after: States }): void {
  checkRuns(known, args);
  checkClaims(known, args);
  checkJobs(args);
}

/** Only moves of the table happen, and the handle of a job never changes. */
function checkJobs({ before, after }: { before: States; after: States }): void {
  for (const job of before.jobs) {
    const now = after.jobs.find((one) => one.id === job.id);
    expect(now).toBeDefined();
    expect(reachable(JOB_TRANSITIONS, { from: job.state, to: now?.state ?? "intended" })).toBe(true);
    if (job.handle !== null) expect(now?.handle).toBe(job.handle);
  }
}

/** An acknowledged create exists exactly once; final states never change; only moves of the table happen. */
function checkRuns({ created, cancelled }: Remembered, { before, after }: { before: States; after: States }) {
  expect(new Set(after.runs.map((run) => run.id))).toEqual(created);
  for (const run of before.runs) {
    const now = after.runs.find((one) => one.id === run.id);
    expect(now).toBeDefined();
    if (FINAL_RUN_STATES.includes(run.state)) expect(now).toEqual(run);
    else expect(reachable(RUN_TRANSITIONS, { from: run.state, to: now?.state ?? run.state })).toBe(true);
  }
  for (const run of after.runs) {
    const attempts = after.attempts.filter((attempt) => attempt.run === run.id);
    const active = attempts.filter(
      (attempt) => !FINAL_ATTEMPT_STATES.some((state) => state === attempt.state),
    );
    expect(active.length).toBeLessThanOrEqual(1);
    // A run's state follows from its attempt's.
    const waits =
      ["scheduled", "blocked", "suspended"].includes(run.state) || FINAL_RUN_STATES.includes(run.state);
    // A cancelled run without a process waits for its jobs.
    const lingers =
      run.state === "cancelling" &&
      after.jobs.some((job) => job.run === run.id && job.state === "cancelling") &&
      active.length === 0;
    expect(active.map((attempt) => attempt.state)).toEqual(waits || lingers ? [] : [run.state]);
    expect(attempts.length).toBe(run.attempts);
    // After an acknowledged cancel no new attempt starts.
    const then = cancelled.get(run.id);
    if (then !== undefined) expect(run.attempts).toBe(then);
  }
}

/** Epochs only rise, and each has a new nonce. An attempt has at most one lease, because its row has one column for it. */
function checkClaims({ nonces }: Remembered, { before, after }: { before: States; after: States }) {
  for (const attempt of before.attempts) {
    const now = after.attempts.find((one) => one.id === attempt.id);
    expect(now?.epoch).toBeGreaterThanOrEqual(attempt.epoch);
    if (now === undefined) continue;
    // A lease where there was none is a new claim.
    if (attempt.lease === null && now.lease !== null) expect(now.epoch).toBeGreaterThan(attempt.epoch);
    if (now.epoch > attempt.epoch) expect(now.nonce).not.toBe(attempt.nonce);
  }
  const given = [...nonces.values()];
  expect(new Set(given).size).toBe(given.length);
}

/** Slots in use are those of live attempts, and wait lists contain exactly the blocked runs. */
export async function checkSlots(testEnv: TestEnv): Promise<void> {
  expect(await testEnv.deps.database.sql.unsafe(SLOT_FAULTS)).toEqual([]);
}

/** No worker holds more than it has, and an attempt has the same needs as its run. One that runs only a hook has none. */
export async function checkAmounts(testEnv: TestEnv, tenancy: Tenancy): Promise<void> {
  const { workspaceId } = tenancy.scope;
  const held = await testEnv.deps.database.sql<
    { worker: string; amounts: Amounts; needs: string; same: boolean }[]
  >`
    select a.worker_id as worker, w.amounts, a.needs, a.needs = case when a.hook_until is null then r.needs else '' end as same
    from attempt a join worker w on w.workspace_id = a.workspace_id and w.id = a.worker_id
      join run r on r.workspace_id = a.workspace_id and r.id = a.run_id
    where a.workspace_id = ${workspaceId} and a.lease_expires_at is not null`;
  for (const [worker, its] of Map.groupBy(held, (one) => one.worker)) {
    const taken = sumOf(its.map((one) => readNeeds(one.needs)));
    expect(lacking(its[0]?.amounts ?? {}, taken), `worker ${worker} holds ${JSON.stringify(taken)}`).toEqual(
      [],
    );
    for (const one of its) expect(one.same).toBe(true);
  }
}
