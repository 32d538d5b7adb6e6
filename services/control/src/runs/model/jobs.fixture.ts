import { createHash } from "node:crypto";
import {
  type AskedWait,
  derivedId,
  FINAL_JOB_STATES,
  FINAL_RUN_STATES,
  type JobChange,
  type JobOutcome,
  Problem,
  type Ref,
} from "@towpath/contract";
import { expect } from "vitest";
import { sql } from "#sql";
import type { FakeWorker } from "../../fake-worker.fixture.ts";
import type { Tenancy, TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { callBack } from "../jobs/call-back.ts";
import { tendJobs } from "../jobs/tend.ts";
import type { States } from "./invariants.fixture.ts";

const TOKEN = "a token that nobody guesses";

/** The external job that a flow of a history may wait for. */
export const ASKED_JOB = {
  kind: "job",
  job: "spark",
  pollEveryMs: 30_000,
  cancels: true,
  callback: createHash("sha256").update(TOKEN).digest("hex"),
} as const satisfies AskedWait;

/** The reports of a worker on a job. */
export const JOB_REPORTS = ["nothing", "polled", "completed", "failed", "cancelled", "released"] as const;
type JobReport = (typeof JOB_REPORTS)[number];

type Fence = { readonly attemptId: string; readonly epoch: number; readonly nonce: string };

/** An outcome, as the answer to a call for the wait has it. */
interface Ended extends Record<string, unknown> {
  readonly id: string;
  readonly wait: string;
  readonly answer: string | null;
}

/**
 * The model's memory of external jobs: the leases that each worker believes to hold, and the outcomes. A report under an old
 * lease must change nothing.
 */
export class Jobs {
  readonly #tenancy: Tenancy;
  /** The lease of each job, by worker, as its worker remembers it. */
  readonly #leases = new Map<string, Map<string, string>>();
  readonly #outcomes = new Map<string, string>();
  #handles = 0;

  constructor(tenancy: Tenancy) {
    this.#tenancy = tenancy;
  }

  /** A flow sends the handle of its job. The first handle stays. */
  async handle(fakeWorker: FakeWorker, claim: Fence & { runId: string }): Promise<void> {
    const { attemptId, epoch, nonce, runId } = claim;
    this.#handles += 1;
    const uri = `file:///handle-${this.#handles}`;
    const handle: Ref = { uri, codec: "json", sizeBytes: 2, sha256: "0".repeat(64) };
    const fence = { attemptId, epoch, nonce, callId: await derivedId(runId, "job") };
    const request = { ...fence, call: { kind: "job-handle", handle } } as const;
    const answer = await call(fakeWorker.testEnv.deps, fakeWorker.worker, request).catch(problemOf);
    if (answer instanceof Problem)
      expect(["stale-fence", "wait-not-found", "forbidden"]).toContain(answer.code);
  }

  /** A worker reports on its jobs and takes jobs without a lease. A lost answer never arrives. */
  async tend(
    fakeWorker: FakeWorker,
    args: { report: JobReport; lost: boolean; forget: boolean },
  ): Promise<void> {
    const { worker, testEnv } = fakeWorker;
    const mine = this.#leases.get(worker.workerId) ?? new Map<string, string>();
    this.#leases.set(worker.workerId, mine);
    if (args.forget) mine.clear();
    const held = [...mine].map(([jobId, lease]) => ({ jobId, lease, cancel: false }));
    const changes = held.flatMap((one) => changesOf(args.report, one));
    const before = await this.#leasesNow(testEnv);
    const states = await this.#statesNow(testEnv);
    const body = { free: 5, held, news: changes, waitMs: 0 };
    const answer = await tendJobs(testEnv.deps, worker, body, new AbortController().signal);
    const after = await this.#statesNow(testEnv);
    for (const { jobId, lease } of changes)
      if (before.get(jobId) !== lease) expect(after.get(jobId)).toBe(states.get(jobId));
    if (args.lost) return;
    if (["completed", "failed", "cancelled", "released"].includes(args.report)) mine.clear();
    for (const jobId of answer.gone) mine.delete(jobId);
    for (const { jobId, lease } of answer.jobs) mine.set(jobId, lease);
  }

  /** A backend reports the outcome of a run's job. A wrong token changes nothing. */
  async callBack(testEnv: TestEnv, args: { runId: string; right: boolean }): Promise<void> {
    const { workspaceId } = this.#tenancy.scope;
    const name = { workspaceId, jobId: await derivedId(args.runId, "job") };
    const report = { outcome: "completed", result: "called" } as const;
    const token = args.right ? TOKEN : "another token";
    const done = await callBack(testEnv.deps, { ...name, token, report }).catch(problemOf);
    if (done instanceof Problem) expect(done.code).toBe("wait-not-found");
    else expect(args.right).toBe(true);
  }

  /** Checks the invariants of jobs after a step. */
  async check(testEnv: TestEnv, { runs, jobs }: States): Promise<void> {
    const waits = await testEnv.deps.database.db.execute<Ended>(sql`
      select j.id, w.state as wait, w.answer::text as answer from job j
        join wait w on w.workspace_id = j.workspace_id and w.id = j.id
      where j.workspace_id = ${this.#tenancy.scope.workspaceId}`);
    const waitOf = new Map([...waits].map((one) => [one.id, one]));
    for (const { id, run, state, handle } of jobs) {
      const wait = waitOf.get(id);
      // Only an outcome satisfies a wait for a job: once, in the commit that ends the job.
      if (wait?.wait === "satisfied") {
        expect(state).toBe("ended");
        expect(this.#outcomes.get(id) ?? wait.answer).toBe(wait.answer);
        this.#outcomes.set(id, wait.answer ?? "");
      }
      if (state === "submitted") expect(handle).not.toBeNull();
      const its = runs.find((one) => one.id === run);
      // The cancellation of a run cancels its jobs before the run ends, and its waits with it.
      if (wait?.wait === "open" && its?.state !== "cancelling")
        expect(["intended", "submitted"]).toContain(state);
      if (its !== undefined && FINAL_RUN_STATES.includes(its.state))
        expect(["cancelling", ...FINAL_JOB_STATES]).toContain(state);
    }
  }

  async #leasesNow(testEnv: TestEnv): Promise<Map<string, string | null>> {
    const found = await testEnv.deps.database.db.execute<{ id: string; lease: string | null }>(
      sql`select id, lease from job where workspace_id = ${this.#tenancy.scope.workspaceId}`,
    );
    return new Map([...found].map(({ id, lease }) => [id, lease]));
  }

  async #statesNow(testEnv: TestEnv): Promise<Map<string, string>> {
    const found = await testEnv.deps.database.db.execute<{ id: string; whole: string }>(sql`
      select id, concat_ws(' ', state, says, handle::text) as whole from job
      where workspace_id = ${this.#tenancy.scope.workspaceId}`);
    return new Map([...found].map(({ id, whole }) => [id, whole]));
  }
}

function changesOf(report: JobReport, { jobId, lease }: { jobId: string; lease: string }): JobChange[] {
  const failed: JobOutcome = { outcome: "failed", error: { name: "E", message: "it failed" } };
  switch (report) {
    case "nothing":
      return [];
    case "polled":
      return [{ jobId, lease, type: "polled", says: "RUNNING", agoMs: 0 }];
    case "completed":
      return [{ jobId, lease, type: "ended", outcome: { outcome: "completed", result: null } }];
    case "failed":
      return [{ jobId, lease, type: "ended", outcome: failed }];
    case "cancelled":
    case "released":
      return [{ jobId, lease, type: report }];
  }
}

function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  throw error;
}
