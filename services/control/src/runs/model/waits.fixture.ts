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

/** The waits of a flow in a history, by path. A run creates each at most once, and may ask for it again. */
export const ASKED = {
  time: { kind: "for", ms: 30_000 },
  deadline: { kind: "input", title: "Soon?", schema: {}, who: "operator", deadlineMs: 30_000 },
  question: { kind: "input", title: "Publish?", schema: {}, who: "operator" },
  event: { kind: "event", name: "landed" },
  job: ASKED_JOB,
} as const satisfies Record<string, AskedWait>;

/** The path of a wait of a flow in a history. */
export type WaitPath = keyof typeof ASKED;

/** A wait as the database has stored it. */
export interface WaitState extends Record<string, unknown> {
  readonly id: string;
  readonly run: string;
  readonly path: WaitPath;
  readonly state: string;
  readonly answer: Json;
}

/**
 * The model's memory of waits: the acknowledged answers, the answers that flows have received, and the waits of each suspended
 * run.
 */
export class Waits {
  readonly #tenancy: Tenancy;
  /** Acknowledged answers, by wait. */
  readonly #acknowledged = new Map<string, Json>();
  /** The settled state that a flow has received, by wait. It never changes. */
  readonly #received = new Map<string, string>();
  /** Ids of the waits in the latest suspension of a run. */
  readonly #named = new Map<string, readonly string[]>();
  #answers = 0;

  constructor(tenancy: Tenancy) {
    this.#tenancy = tenancy;
  }

  /** Asks for the state of a wait. After its first answer, a flow always gets the same one. */
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
      // The attempt has not started, it is being stopped, or another worker holds it now.
      expect(["stale-fence", "forbidden"]).toContain(asked.code);
      return null;
    }
    const wait = CalledWait.parse(asked);
    const now = JSON.stringify([wait.state, wait.answer]);
    if (wait.state !== "open") {
      expect(this.#received.get(callId) ?? now).toBe(now);
      this.#received.set(callId, now);
    }
    const acknowledged = this.#acknowledged.get(callId);
    if (acknowledged !== undefined) expect(wait).toMatchObject({ state: "satisfied", answer: acknowledged });
    return wait;
  }

  /** A suspension of this run with these waits was acknowledged. */
  named(runId: string, waitIds: readonly string[]): void {
    this.#named.set(runId, waitIds);
  }

  /** A person answers a question. Exactly one answer counts. */
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

  /** Sends an event twice. It counts once. */
  async event(testEnv: TestEnv): Promise<void> {
    const { deps } = testEnv;
    const sent = { id: uuidv7(deps.clock.nowMs()), name: ASKED.event.name, payload: null };
    const first = await sendEvent(deps, this.#tenancy.scope, sent);
    expect(await sendEvent(deps, this.#tenancy.scope, sent)).toEqual(first);
  }

  /** Checks the invariants of waits after a step. */
  async check(testEnv: TestEnv, { runs }: States): Promise<void> {
    const waits = await readWaits(testEnv, this.#tenancy);
    const byId = new Map(waits.map((one) => [one.id, one]));
    for (const [id, answer] of this.#acknowledged) {
      const wait = byId.get(id);
      expect(wait).toMatchObject({ state: "satisfied", answer });
    }
    for (const { id, state } of runs) {
      const own = waits.filter((one) => one.run === id);
      // A run that has ended has no open waits.
      if (FINAL_RUN_STATES.includes(state)) expect(own.filter((one) => one.state === "open")).toEqual([]);
      if (state !== "suspended") continue;
      // The commit that settles a wait also resumes the run, so no answer is lost between them.
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
