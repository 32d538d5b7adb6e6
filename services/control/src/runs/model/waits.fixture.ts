import {
  type AskedWait,
  CalledWait,
  derivedId,
  FINAL_RUN_STATES,
  type Json,
  Problem,
  uuidv7,
} from "@towpath/contract";
import { expect } from "vitest";
import { sql } from "#sql";
import type { FakeWorker } from "../../fake-worker.fixture.ts";
import type { Tenancy, TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { answerWait } from "../waits/answer.ts";
import { sendEvent } from "../waits/events.ts";
import type { States } from "./invariants.fixture.ts";
import { ASKED_JOB } from "./jobs.fixture.ts";

/** What a flow of a history may wait for, by its path; each run asks for each at most once, and again as often as it likes. */
export const ASKED = {
  time: { kind: "for", ms: 30_000 },
  deadline: { kind: "input", title: "Soon?", schema: {}, who: "operator", deadlineMs: 30_000 },
  question: { kind: "input", title: "Publish?", schema: {}, who: "operator" },
  event: { kind: "event", name: "landed" },
  job: ASKED_JOB,
} as const satisfies Record<string, AskedWait>;

/** A thing that a flow of a history may wait for. */
export type WaitPath = keyof typeof ASKED;

/** A wait as the database has it. */
export interface WaitState extends Record<string, unknown> {
  readonly id: string;
  readonly run: string;
  readonly path: WaitPath;
  readonly state: string;
  readonly answer: Json;
}

/**
 * The model's memory of what runs wait for: which answers were acknowledged, which a flow was told, and for what each suspended run
 * said that it waits.
 */
export class Waits {
  readonly #tenancy: Tenancy;
  /** Answers whose acknowledgement somebody has, by wait. */
  readonly #acknowledged = new Map<string, Json>();
  /** What an asking flow was told, by wait: it never hears anything else. */
  readonly #told = new Map<string, string>();
  /** Ids of the waits that a run named when it was suspended last. */
  readonly #named = new Map<string, readonly string[]>();
  #answers = 0;

  constructor(tenancy: Tenancy) {
    this.#tenancy = tenancy;
  }

  /** Asks how a wait stands; the answer that a flow was told once is the one that it is told ever after. */
  async ask(
    fakeWorker: FakeWorker,
    claim: Fence & { runId: string },
    path: WaitPath,
  ): Promise<CalledWait | null> {
    const callId = await derivedId(claim.runId, path);
    const { attemptId, epoch, nonce } = claim;
    const request = {
      attemptId,
      epoch,
      nonce,
      callId,
      call: { kind: "wait", path, wait: ASKED[path] },
    } as const;
    const asked = await call(fakeWorker.testEnv.deps, fakeWorker.worker, request).catch(problemOf);
    if (asked instanceof Problem) {
      // It has not started, it is being stopped, or another has its attempt by now.
      expect(["stale-fence", "forbidden"]).toContain(asked.code);
      return null;
    }
    const wait = CalledWait.parse(asked);
    const now = JSON.stringify([wait.state, wait.answer]);
    if (wait.state !== "open") {
      expect(this.#told.get(callId) ?? now).toBe(now);
      this.#told.set(callId, now);
    }
    const acknowledged = this.#acknowledged.get(callId);
    if (acknowledged !== undefined) expect(wait).toMatchObject({ state: "satisfied", answer: acknowledged });
    return wait;
  }

  /** A suspension of this run for these was acknowledged. */
  named(runId: string, waitIds: readonly string[]): void {
    this.#named.set(runId, waitIds);
  }

  /** Somebody answers a question: exactly one answer counts. */
  async answer(testEnv: TestEnv, args: { runId: string; path: WaitPath }): Promise<void> {
    const waitId = await derivedId(args.runId, args.path);
    this.#answers += 1;
    const answer = this.#answers;
    const done = await answerWait(testEnv.deps, this.#tenancy.scope, {
      runId: args.runId,
      waitId,
      answer,
    }).catch(problemOf);
    if (done instanceof Problem) {
      expect(["wait-not-found", "wait-settled"]).toContain(done.code);
      return;
    }
    expect(this.#acknowledged.has(waitId)).toBe(false);
    this.#acknowledged.set(waitId, answer);
  }

  /** Something happens of which runs may want to hear; told twice, it happened once. */
  async event(testEnv: TestEnv): Promise<void> {
    const { deps } = testEnv;
    const sent = { id: uuidv7(deps.clock.nowMs()), name: ASKED.event.name, payload: null };
    const first = await sendEvent(deps, this.#tenancy.scope, sent);
    expect(await sendEvent(deps, this.#tenancy.scope, sent)).toEqual(first);
  }

  /** What holds of waits after every step. */
  async check(testEnv: TestEnv, { runs }: States): Promise<void> {
    const waits = await readWaits(testEnv, this.#tenancy);
    const byId = new Map(waits.map((one) => [one.id, one]));
    for (const [id, answer] of this.#acknowledged) {
      const wait = byId.get(id);
      expect(wait).toMatchObject({ state: "satisfied", answer });
    }
    for (const { id, state } of runs) {
      const own = waits.filter((one) => one.run === id);
      // Of a run that has ended nothing is asked any more.
      if (FINAL_RUN_STATES.includes(state)) expect(own.filter((one) => one.state === "open")).toEqual([]);
      if (state !== "suspended") continue;
      // Whatever has settled has let the run go on in the same commit: an answer is never lost between.
      const named = this.#named.get(id) ?? [];
      expect(named.map((waitId) => byId.get(waitId)?.state)).toEqual(named.map(() => "open"));
    }
  }
}

type Fence = { readonly attemptId: string; readonly epoch: number; readonly nonce: string };

function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  throw error;
}

async function readWaits(testEnv: TestEnv, { scope }: Tenancy): Promise<WaitState[]> {
  const found = await testEnv.deps.database.db.execute<WaitState>(
    sql`select id, run_id as run, path, state, answer from wait where workspace_id = ${scope.workspaceId}`,
  );
  return [...found];
}
