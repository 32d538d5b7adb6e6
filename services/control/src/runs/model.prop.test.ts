import {
  FINAL_ATTEMPT_STATES,
  FINAL_RUN_STATES,
  RUN_TRANSITIONS,
  type RunState,
  type Transition,
} from "@towpath/contract";
import { sql } from "drizzle-orm";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { Barge, said } from "../barge.fixture.ts";
import { openTenancy, openTown, type Tenancy, type Town } from "../town.fixture.ts";
import { cancelRun } from "./cancel.ts";
import { Dispatchers } from "./claim/poll.ts";
import { createRun } from "./create.ts";
import { dueDuty, lapseDuty, loseDuty } from "./duties.ts";
import { getRun, listRuns } from "./read.ts";

let town: Town;
beforeAll(async () => {
  town = await openTown(await createTestDatabase());
});
afterAll(() => town.close());

const RUNS = 3;
const WORKERS = 2;
const LOST_AFTER_MS = 20_000;

const who = { worker: fc.nat(WORKERS - 1), claim: fc.nat(3) };
const does = <const What extends string>(what: What) => ({ do: fc.constant(what) });

/** What a history is made of: people, workers and time, each acting without knowing of the others. */
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ ...does("create"), run: fc.nat(RUNS - 1) }) },
  { weight: 1, arbitrary: fc.record({ ...does("cancel"), run: fc.nat(RUNS - 1) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      ...does("poll"),
      worker: fc.nat(WORKERS - 1),
      forget: fc.nat(7).map((dice) => dice === 0),
    }),
  },
  { weight: 5, arbitrary: fc.record({ ...does("start"), ...who }) },
  { weight: 1, arbitrary: fc.record({ ...does("release"), ...who }) },
  { weight: 2, arbitrary: fc.record({ ...does("task"), ...who }) },
  {
    weight: 4,
    arbitrary: fc.record({
      ...does("end"),
      ...who,
      outcome: fc.constantFrom("completed", "failed", "failed", "cancelled", "refused"),
      cause: fc.constantFrom(null, "error", "evicted", "oom"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ ...does("stale"), ...who }) },
  { weight: 3, arbitrary: fc.record({ ...does("pass"), seconds: fc.constantFrom(1, 6, 16, 40, 90) }) },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

/** One claim as its worker remembers it. */
interface Claim {
  readonly attemptId: string;
  readonly epoch: number;
  readonly nonce: string;
  /** The sequence of its next record. */
  seq: number;
}

class History {
  readonly tenancy: Tenancy;
  readonly barges: readonly Barge[];
  readonly requests: ReturnType<Tenancy["request"]>[];
  readonly created = new Set<string>();
  readonly cancelled = new Map<string, number>();
  readonly claims: Claim[][] = Array.from({ length: WORKERS }, () => []);
  readonly nonces = new Map<string, string>();

  constructor(tenancy: Tenancy, barges: readonly Barge[]) {
    this.tenancy = tenancy;
    this.barges = barges;
    this.requests = Array.from({ length: RUNS }, (_, index) =>
      tenancy.request(index === 0 ? { idempotencyKey: "k" } : {}),
    );
  }

  async apply(one: Step): Promise<void> {
    if (one.do === "create") return this.#create(one.run);
    if (one.do === "cancel") return this.#cancel(one.run);
    if (one.do === "pass") return pass(one.seconds * 1_000);
    if (one.do === "poll") return this.#poll(one.worker, one.forget);
    const mine = this.claims[one.worker] ?? [];
    const claim = mine[one.claim % Math.max(1, mine.length)];
    const barge = this.barges[one.worker];
    if (claim === undefined || barge === undefined) return;
    if (one.do === "stale") {
      const before = await states(this.tenancy);
      const answer = await barge.say({ ...claim, epoch: claim.epoch + 1 }, [said.ended("completed")], {
        from: claim.seq,
      });
      expect(answer.status).toBe("stale");
      expect(await states(this.tenancy)).toEqual(before);
      return;
    }
    const record = {
      start: () => said.started,
      release: () => said.released,
      task: () => said.task(`t${claim.seq}`, "begin"),
      end: () => (one.do === "end" ? said.ended(one.outcome, { cause: one.cause }) : said.started),
    }[one.do]();
    const answer = await barge.say(claim, [record], { from: claim.seq });
    if (answer.status === "accepted") claim.seq = answer.controlAcked + 1;
    if (answer.status === "stale" || answer.outcome !== null) mine.splice(mine.indexOf(claim), 1);
  }

  async #create(index: number): Promise<void> {
    const request = this.requests[index];
    if (request === undefined) return;
    const made = await createRun(town.deps, this.tenancy.scope, request);
    expect(made.id).toBe(request.id);
    this.created.add(request.id);
  }

  async #cancel(index: number): Promise<void> {
    const runId = this.requests[index]?.id ?? "";
    if (!this.created.has(runId)) return;
    const answer = await cancelRun(town.deps, this.tenancy.scope, { runId, reason: "" }).catch(() => null);
    if (answer !== null && !this.cancelled.has(runId)) this.cancelled.set(runId, answer.attempts);
  }

  async #poll(worker: number, forget: boolean): Promise<void> {
    const mine = this.claims[worker] ?? [];
    // A worker that forgets stands for one that was killed and lost its journal.
    if (forget) mine.length = 0;
    const held = mine.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce }));
    const heard = await this.barges[worker]?.poll({ free: 2, held, waitMs: 20 });
    await this.barges[worker]?.dispatchers.idle();
    for (const { attemptId, epoch, nonce } of heard?.assignments ?? []) {
      const place = `${attemptId} ${epoch}`;
      expect(this.nonces.get(place) ?? nonce).toBe(nonce);
      this.nonces.set(place, nonce);
      mine.push({ attemptId, epoch, nonce, seq: 1 });
    }
    for (const command of heard?.commands ?? []) {
      if (command.kind !== "abandon") continue;
      const index = mine.findIndex((claim) => claim.attemptId === command.attemptId);
      if (index >= 0) mine.splice(index, 1);
    }
  }
}

async function pass(ms: number): Promise<void> {
  await town.pass(ms);
  for (const duty of [lapseDuty, loseDuty, dueDuty]) await duty.runOnce(town.deps);
}

interface States extends Record<string, unknown> {
  readonly runs: { id: string; state: RunState; attempts: number }[];
  readonly attempts: {
    id: string;
    run: string;
    state: string;
    epoch: number;
    nonce: string;
    leased: boolean;
  }[];
}

async function states(tenancy: Tenancy): Promise<States> {
  const { workspaceId } = tenancy.scope;
  const [found] = await town.deps.database.db.execute<States>(sql`select
    (select coalesce(json_agg(json_build_object('id', id, 'state', state, 'attempts', attempts) order by id), '[]')
      from run where workspace_id = ${workspaceId}) as runs,
    (select coalesce(json_agg(json_build_object('id', id, 'run', run_id, 'state', state, 'epoch', epoch, 'nonce', nonce,
      'leased', lease_expires_at is not null) order by id), '[]')
      from attempt where workspace_id = ${workspaceId}) as attempts`);
  return found ?? { runs: [], attempts: [] };
}

/** Whether the tables of states lead from one to the other, in any number of moves. */
function reachable(from: RunState, to: RunState): boolean {
  const seen = new Set<RunState>([from]);
  for (const state of seen) {
    for (const row of Object.values(RUN_TRANSITIONS)) {
      const move: Transition<RunState> = row;
      if (move.from.includes(state)) for (const next of move.to) seen.add(next);
    }
  }
  return seen.has(to);
}

function check(history: History, before: States, after: States): void {
  // An acknowledged create exists exactly once; final states never change; only moves of the table happen.
  expect(new Set(after.runs.map((run) => run.id))).toEqual(history.created);
  for (const run of before.runs) {
    const now = after.runs.find((one) => one.id === run.id);
    expect(now).toBeDefined();
    if (FINAL_RUN_STATES.includes(run.state)) expect(now).toEqual(run);
    else expect(reachable(run.state, now?.state ?? run.state)).toBe(true);
  }
  for (const run of after.runs) {
    const attempts = after.attempts.filter((attempt) => attempt.run === run.id);
    const active = attempts.filter(
      (attempt) => !FINAL_ATTEMPT_STATES.some((state) => state === attempt.state),
    );
    expect(active.length).toBeLessThanOrEqual(1);
    // A run's state follows from its attempt's.
    const waits = run.state === "scheduled" || FINAL_RUN_STATES.includes(run.state);
    expect(active.map((attempt) => attempt.state)).toEqual(waits ? [] : [run.state]);
    expect(attempts.length).toBe(run.attempts);
    // After an acknowledged cancel no new attempt starts.
    const then = history.cancelled.get(run.id);
    if (then !== undefined) expect(run.attempts).toBe(then);
  }
  // Epochs only rise; at most one lease per attempt is a row's own property; nonces never repeat.
  for (const attempt of before.attempts) {
    const now = after.attempts.find((one) => one.id === attempt.id);
    expect(now?.epoch).toBeGreaterThanOrEqual(attempt.epoch);
  }
  const nonces = [...history.nonces.values()];
  expect(new Set(nonces).size).toBe(nonces.length);
}

test("whatever people, workers and time do, the invariants hold after every step, and every run ends", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 50 }), async (steps) => {
      const retry = { limit: 1, delayMs: 5_000, causes: ["error", "oom", "lost"] as const };
      const tenancy = await openTenancy(town, {
        lostAfterMs: LOST_AFTER_MS,
        retry: { ...retry, causes: [...retry.causes] },
      });
      const dispatchers = new Dispatchers();
      const barges = await Promise.all(
        Array.from({ length: WORKERS }, async () => new Barge(town, await tenancy.worker(), dispatchers)),
      );
      const history = new History(tenancy, barges);
      let before = await states(tenancy);
      for (const one of steps) {
        await history.apply(one);
        const after = await states(tenancy);
        check(history, before, after);
        before = after;
      }
      await settle(history);
    }),
    { numRuns: 25, endOnFailure: true },
  );
}, 300_000);

/** Once faults stop, a good worker brings every run to its end. */
async function settle(history: History): Promise<void> {
  const good = new Barge(town, await history.tenancy.worker("good"));
  for (let round = 0; round < 20; round++) {
    await pass(120_000);
    const { assignments } = await good.poll({ free: 10, held: [], waitMs: 500 });
    await good.dispatchers.idle();
    for (const given of assignments) await good.say(given, [said.started, said.ended("completed")]);
    const { items } = await listRuns(town.deps, history.tenancy.scope, { limit: 10 });
    if (items.every((run) => FINAL_RUN_STATES.includes(run.state))) break;
  }
  const { runs, attempts } = await states(history.tenancy);
  for (const run of runs) expect(FINAL_RUN_STATES).toContain(run.state);
  expect(attempts.filter((attempt) => attempt.leased)).toEqual([]);
  // Nothing of it is visible from another workspace.
  const other = await openTenancy(town);
  expect((await listRuns(town.deps, other.scope, { limit: 10 })).items).toEqual([]);
  for (const runId of history.created) {
    const seen = getRun(town.deps, other.scope, { runId });
    await expect(seen).rejects.toMatchObject({ code: "run-not-found" });
  }
}
