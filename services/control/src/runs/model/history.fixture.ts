import { type Amounts, type Claimed, ONLY_HOOK_PROTOCOL, SetLimit } from "@towpath/contract";
import { expect } from "vitest";
import { Dispatchers, FakeWorker, type RecordBody, records, renew } from "../../fake-worker.fixture.ts";
import type { Tenancy, TestEnv } from "../../test-env.fixture.ts";
import { duePeriodicJob } from "../create/due.ts";
import { jobsPeriodicJob } from "../jobs/end.ts";
import { admitPeriodicJob, lapsePeriodicJob, losePeriodicJob } from "../periodic-jobs.ts";
import { setLimit } from "../read/limits.ts";
import { cancelRun } from "../requests/requests.ts";
import { waitsPeriodicJob } from "../waits/periodic-jobs.ts";
import { type Remembered, readStates } from "./invariants.fixture.ts";
import { Jobs } from "./jobs.fixture.ts";
import { LogModel } from "./log.fixture.ts";
import { Requests } from "./requests.fixture.ts";
import { PLANES, RUNS, type Step, WORKERS } from "./steps.fixture.ts";
import { type WaitPath, Waits } from "./waits.fixture.ts";

/** The set-up of histories: the needs of each run, and the amounts of each worker. */
export interface Yard {
  /** The deployments of the runs, in turn. */
  readonly deployments: readonly string[];
  readonly amounts: Amounts;
}

/** One claim as its worker remembers it. */
interface Claim {
  readonly runId: string;
  readonly attemptId: string;
  readonly ordinal: number;
  readonly epoch: number;
  readonly nonce: string;
  /** The sequence of its next record. */
  seq: number;
}

type ClaimStep = Exclude<Extract<Step, { claim: number }>, { do: "rest" }>;

/**
 * Plays a history against the real verbs and the real database, and keeps the model: the created runs, the cancelled runs, and
 * the newest claim of each attempt. A write of an older claim must change nothing.
 */
export class History implements Remembered {
  readonly requests: Requests;
  readonly cancelled = new Map<string, number>();
  readonly nonces = new Map<string, string>();
  readonly waits: Waits;
  readonly jobs: Jobs;
  readonly lines: LogModel;
  /** The newest epoch of each attempt in any answer of a control plane. */
  readonly #newest = new Map<string, number>();
  readonly #claims: Claim[][] = Array.from({ length: WORKERS }, () => []);
  /** Claims of attempts whose end was acknowledged. Their workers may still send the remaining lines. */
  readonly #over: Claim[][] = Array.from({ length: WORKERS }, () => []);
  readonly #planes: readonly TestEnv[];
  readonly #tenancy: Tenancy;
  readonly #fakeWorkers: readonly FakeWorker[];

  private constructor(
    planes: readonly TestEnv[],
    args: { tenancy: Tenancy; fakeWorkers: readonly FakeWorker[]; yard: Yard },
  ) {
    const { tenancy, fakeWorkers, yard } = args;
    this.#planes = planes;
    this.#tenancy = tenancy;
    this.#fakeWorkers = fakeWorkers;
    this.waits = new Waits(tenancy);
    this.jobs = new Jobs(tenancy);
    this.lines = new LogModel(tenancy);
    this.requests = new Requests(tenancy, yard.deployments);
  }

  /** @param planes `PLANES` control planes that share one database and one clock. */
  static async open(planes: readonly TestEnv[], args: { tenancy: Tenancy; yard: Yard }): Promise<History> {
    const { tenancy, yard } = args;
    const dispatchers = planes.map(() => new Dispatchers());
    const workers = await Promise.all(
      Array.from({ length: WORKERS }, () => tenancy.worker("worker", yard.amounts)),
    );
    const fakeWorkers = workers.flatMap((worker, index) => {
      const testEnv = planes[index % PLANES];
      // The first one is of an earlier release, which does not know attempts that run only a hook.
      const scope = { ...worker, protocol: index === 0 ? 1 : ONLY_HOOK_PROTOCOL };
      return testEnv === undefined ? [] : [new FakeWorker(testEnv, scope, dispatchers[index % PLANES])];
    });
    return new History(planes, { tenancy, fakeWorkers, yard });
  }

  async apply(one: Step): Promise<void> {
    if (one.do === "create") return this.requests.create(this.#plane(one.at), one);
    if (one.do === "cancel") return this.#cancel(one);
    if (one.do === "limit") return this.#limit(one);
    if (one.do === "race") return this.#race(one);
    if (one.do === "pass") return pass(this.#planes, one.seconds * 1_000);
    if (one.do === "poll") return this.#poll(one);
    if (one.do === "meet") return this.#meet(one);
    if (one.do === "answer") return this.#answer(one);
    if (one.do === "event") return this.waits.event(this.#plane(one.at));
    if (one.do === "callback") return this.#callBack(one);
    if (one.do === "tend") return this.#tend(one);
    if (one.do === "rest") return this.#rest(one);
    return this.#write(one);
  }

  /** Sends a request to every control plane at the same time. */
  async #race({
    run,
    what,
  }: {
    run: number;
    what: "create" | "twins" | "cancel" | "answer" | "callback" | "periodicJobs";
  }): Promise<void> {
    if (what === "periodicJobs") return pass(this.#planes, 0);
    const ask = {
      create: (at: number) => this.requests.create(this.#plane(at), { run, twin: false }),
      twins: (at: number) => this.requests.create(this.#plane(at), { run: 0, twin: true }),
      cancel: (at: number) => this.#cancel({ run, at }),
      answer: (at: number) => this.#answer({ run, at, path: "question" }),
      callback: (at: number) => this.#callBack({ run, at, right: true }),
    }[what];
    await Promise.all(this.#planes.map((_, at) => ask(at)));
  }

  get created(): ReadonlySet<string> {
    return this.requests.created;
  }

  async #limit({ slots, at }: { slots: number; at: number }): Promise<void> {
    await limitTo(this.#plane(at), this.#tenancy, slots);
    await pass(this.#planes, 0);
  }

  async #cancel({ run, at }: { run: number; at: number }): Promise<void> {
    const runId = this.requests.idOf(run);
    if (!this.created.has(runId)) return;
    const asked = cancelRun(this.#plane(at).deps, this.#tenancy.scope, { runId, reason: "" });
    const answer = await asked.catch(() => null);
    if (answer !== null && !this.cancelled.has(runId)) this.cancelled.set(runId, answer.attempts);
  }

  async #answer({ run, at, path }: { run: number; at: number; path: WaitPath }): Promise<void> {
    await this.waits.answer(this.#plane(at), { runId: this.requests.idOf(run), path });
  }

  async #callBack({ run, at, right }: { run: number; at: number; right: boolean }): Promise<void> {
    await this.jobs.callBack(this.#plane(at), { runId: this.requests.idOf(run), right });
  }

  async #tend(one: Extract<Step, { do: "tend" }>): Promise<void> {
    const fakeWorker = this.#fakeWorkers[one.worker];
    if (fakeWorker !== undefined) await this.jobs.tend(fakeWorker, one);
  }

  /** A worker polls. `forget`: it has lost its disk. `lost`: the answer never arrives, so the control plane delivers it again. */
  async #poll(args: { worker: number; forget: boolean; lost: boolean }): Promise<void> {
    const mine = this.#claims[args.worker] ?? [];
    if (args.forget) mine.length = 0;
    const held = mine.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce }));
    const heard = await this.#fakeWorkers[args.worker]?.look({ free: 2, held });
    this.#hear(mine, heard, args);
  }

  /** A run is created while a worker waits at the same control plane, which assigns it in the same statement. */
  async #meet({ worker, run }: { worker: number; run: number }): Promise<void> {
    const [fakeWorker, mine] = [this.#fakeWorkers[worker], this.#claims[worker]];
    if (fakeWorker === undefined || mine === undefined) return;
    const stop = new AbortController();
    const held = mine.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce }));
    const polled = fakeWorker.poll({ free: 2, held, waitMs: 20_000, signal: stop.signal });
    const waits = () => fakeWorker.dispatchers.areWaiting(fakeWorker.worker.poolId);
    await Promise.race([polled, expect.poll(waits, { interval: 1 }).toBe(true)]);
    await fakeWorker.dispatchers.idle();
    await this.requests.create(fakeWorker.testEnv, { run, twin: false }, fakeWorker.dispatchers);
    await fakeWorker.dispatchers.idle();
    stop.abort();
    this.#hear(mine, await polled, { lost: false });
  }

  /** A worker applies an answer, unless the answer is lost. */
  #hear(mine: Claim[], heard: Claimed | undefined, args: { lost: boolean }): void {
    for (const { runId, attemptId, ordinal, epoch, nonce } of heard?.assignments ?? []) {
      const claimed = `${attemptId} ${epoch}`;
      expect(epoch).toBeGreaterThanOrEqual(this.#newest.get(attemptId) ?? 0);
      expect(this.nonces.get(claimed) ?? nonce).toBe(nonce);
      this.nonces.set(claimed, nonce);
      this.#newest.set(attemptId, epoch);
      if (!args.lost) mine.push({ runId, attemptId, ordinal, epoch, nonce, seq: 1 });
    }
    for (const command of heard?.commands ?? []) {
      if (command.kind !== "abandon" || args.lost) continue;
      const index = mine.findIndex((claim) => claim.attemptId === command.attemptId);
      if (index >= 0) mine.splice(index, 1);
    }
  }

  async #write(one: ClaimStep): Promise<void> {
    const mine = this.#claims[one.worker] ?? [];
    const claim = mine[one.claim % Math.max(1, mine.length)];
    const fakeWorker = this.#fakeWorkers[one.worker];
    if (claim === undefined || fakeWorker === undefined) return;
    const forged = one.do === "forge";
    const fence = forged ? forge(claim, one.what) : claim;
    if (forged || this.#isOld(claim)) await this.#mustChangeNothing(fakeWorker, { fence, seq: claim.seq });
    if (forged) return;
    if (one.do === "renew") {
      await renew(fakeWorker.testEnv.deps, fakeWorker.worker, { held: [claim] });
      return;
    }
    if (one.do === "ask") return this.#ask(fakeWorker, claim, one);
    if (one.do === "handle") return this.jobs.handle(fakeWorker, claim);
    if (one.do === "suspend") return this.#suspend({ fakeWorker, claim, mine }, one);
    if (one.do === "log") return this.lines.log(fakeWorker, claim, one);
    const record = recordOf(one, claim, { lastBulkSeq: this.lines.count(claim) });
    const control = "alone" in one && !one.alone ? [records.stage("asked"), record] : [record];
    const asks = one.do === "end" && one.asks;
    const held = mine.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce }));
    const [answer, heard] = await Promise.all([
      fakeWorker.report(claim, control, { from: claim.seq }),
      asks ? fakeWorker.next({ free: 1, held, ending: [claim] }) : null,
    ]);
    if (answer.status === "accepted") claim.seq = answer.controlAcked + 1;
    if (answer.outcome !== null) this.#over[one.worker]?.push(claim);
    if (answer.status === "stale" || answer.outcome !== null) mine.splice(mine.indexOf(claim), 1);
    if (asks) this.#hear(mine, heard ?? undefined, one);
  }

  /** A worker sends the remaining lines of an attempt that has ended. */
  async #rest(one: { worker: number; claim: number }): Promise<void> {
    const [fakeWorker, over = []] = [this.#fakeWorkers[one.worker], this.#over[one.worker]];
    const claim = over[one.claim % Math.max(1, over.length)];
    if (fakeWorker !== undefined && claim !== undefined) await this.lines.rest(fakeWorker, claim);
  }

  /** A flow asks for a wait. A second request, as after a lost answer, gets the same answer. */
  async #ask(
    fakeWorker: FakeWorker,
    claim: Claim,
    { path, again }: { path: WaitPath; again: boolean },
  ): Promise<void> {
    const wait = await this.waits.ask(fakeWorker, claim, path);
    if (again) expect(await this.waits.ask(fakeWorker, claim, path)).toEqual(wait);
  }

  /** A flow asks for its waits, and is suspended if all of them are open. */
  async #suspend(
    { fakeWorker, claim, mine }: { fakeWorker: FakeWorker; claim: Claim; mine: Claim[] },
    { paths, overtaken, hook }: { paths: readonly WaitPath[]; overtaken: boolean; hook: boolean },
  ): Promise<void> {
    const wanted = overtaken ? [...new Set([...paths, "question" as const])] : paths;
    const asked = [];
    for (const path of wanted) asked.push(await this.waits.ask(fakeWorker, claim, path));
    if (asked.some((wait) => wait?.state !== "open")) return;
    // The answer arrives before the suspension.
    if (overtaken) await this.waits.answer(fakeWorker.testEnv, { runId: claim.runId, path: "question" });
    const ended = { waits: wanted, lastBulkSeq: this.lines.count(claim), cancelHook: hook };
    const suspended = records.ended("suspended", ended);
    const answer = await fakeWorker.report(claim, [suspended], { from: claim.seq });
    if (answer.status === "stale" || answer.outcome === null) return;
    mine.splice(mine.indexOf(claim), 1);
    this.waits.named(
      claim.runId,
      asked.flatMap((wait) => wait?.waitId ?? []),
    );
  }

  /** Answers every question, ends every job, and sends the event that runs wait for. */
  async answerAll(): Promise<void> {
    for (let run = 0; run < RUNS; run++) {
      for (const path of ["question", "deadline"] as const) await this.#answer({ run, at: 0, path });
      await this.#callBack({ run, at: 0, right: true });
    }
    await this.waits.event(this.#plane(0));
  }

  #plane(at: number): TestEnv {
    const plane = this.#planes[at];
    if (plane === undefined) throw new TypeError(`There is no control plane ${at}.`);
    return plane;
  }

  /** Whether its attempt has a later claim. */
  #isOld({ attemptId, epoch }: Claim): boolean {
    return epoch < (this.#newest.get(attemptId) ?? 0);
  }

  /** Reports and renews with a fence that is not current. Both are refused and change nothing. */
  async #mustChangeNothing(fakeWorker: FakeWorker, args: { fence: Claim; seq: number }): Promise<void> {
    const before = await readStates(fakeWorker.testEnv, this.#tenancy);
    for (const record of [records.started, records.ended("completed")]) {
      const answer = await fakeWorker.report(args.fence, [record], { from: args.seq });
      expect(answer.status).toBe("stale");
    }
    const { leases } = await renew(fakeWorker.testEnv.deps, fakeWorker.worker, { held: [args.fence] });
    expect(leases).toMatchObject([{ status: "gone" }]);
    expect(await readStates(fakeWorker.testEnv, this.#tenancy)).toEqual(before);
  }
}

function forge(claim: Claim, what: "epoch" | "nonce"): Claim {
  if (what === "epoch") return { ...claim, epoch: claim.epoch + 1 };
  return { ...claim, nonce: "00000000-0000-4000-8000-000000000000" };
}

function recordOf(
  one: Extract<ClaimStep, { do: "start" | "release" | "task" | "end" }>,
  claim: Claim,
  over: { lastBulkSeq: number },
): RecordBody {
  switch (one.do) {
    case "start":
      return records.started;
    case "release":
      return records.released;
    case "task":
      return records.task(`t${claim.seq}`, "begin");
    case "end":
      return records.ended(one.outcome, { cause: one.cause, ...over });
  }
}

/** Limits how many runs of the tenant's deployment execute at the same time. */
export async function limitTo({ deps }: TestEnv, { scope }: Tenancy, slots: number): Promise<void> {
  const input = SetLimit.parse({ kind: "deployment", name: "flow", slots });
  await setLimit(deps, { scope, input });
}

/** Moves the clock, and runs the periodic jobs of all control planes at the same time. */
export async function pass(planes: readonly TestEnv[], ms: number): Promise<void> {
  if (ms > 0) await planes[0]?.pass(ms);
  for (const periodicJob of [
    lapsePeriodicJob,
    losePeriodicJob,
    duePeriodicJob,
    waitsPeriodicJob,
    jobsPeriodicJob,
    admitPeriodicJob,
  ])
    await Promise.all(planes.map((testEnv) => periodicJob.runOnce(testEnv.deps)));
}
