import { randomUUID } from "node:crypto";
import {
  type Assignment,
  type BulkRecord,
  type Claim,
  type Claimed,
  derivedId,
  type Fence,
  type Report,
  type Reported,
  ROUTES,
  type Session,
  uuidv7,
  WORKER_PROTOCOLS,
} from "@towpath/contract";
import { Wire } from "./wire.ts";

/**
 * A worker as the protocol sees it, without code to run: a session, polls and reports over real HTTP. It is as light
 * as can be, because it shares the machine with what it measures.
 */
export interface Agent {
  claim(body: Partial<Claim>): Promise<Claimed>;
  /** Confirms the start of attempts: their first control record. */
  start(fences: readonly Fence[]): Promise<void>;
  /** Reports one control record of each attempt. */
  reportRecord(fences: readonly Fence[], record: Record<string, unknown> & { seq: number }): Promise<void>;
  /** Ends attempts as completed: their second control record. */
  end(fences: readonly Fence[]): Promise<void>;
  /** Ends attempts as completed, and asks for work with the same report. */
  endAndClaim(fences: readonly Fence[], free: number): Promise<Claimed>;
  /** Reports lines of an attempt: bulk records in sequence. */
  log(fence: Fence, records: readonly LogRecord[]): Promise<void>;
  /** Has the flow of an attempt ask people something. */
  ask(given: Assignment): Promise<void>;
  /** Suspends attempts on what their flows have asked: their second control record. */
  suspend(fences: readonly Fence[]): Promise<void>;
}

/** Where in its flow every question stands. */
const ASKED_AT = "wait:input:Go on?";
const QUESTION = { kind: "input", title: "Go on?", schema: { type: "boolean" } } as const;

/** A bulk record of lines. */
type LogRecord = Extract<BulkRecord, { type: "log" }>;

/** @returns the JSON of a successful answer, as `Answer`: the server's word is taken for it. */
async function post<Answer>(
  wire: Wire,
  args: { path: string; token: string; body: unknown },
): Promise<Answer> {
  const { path, token } = args;
  const { status, text } = await wire.post({ path, token, text: JSON.stringify(args.body) });
  if (status >= 300) throw new Error(`${path} answered ${status}: ${text}`);
  return JSON.parse(text) as Answer;
}

const at = () => new Date().toISOString();

/** Opens a worker's session on a pool. */
export async function openAgent(args: { url: string; key: string; pool: string }): Promise<Agent> {
  const workerId = uuidv7(Date.now());
  const wire = new Wire(args.url);
  const session = await post<Session>(wire, {
    path: ROUTES.openSession.path,
    token: args.key,
    body: {
      workerId,
      name: "bench",
      pool: args.pool,
      poolType: "process",
      capacity: 100,
      version: "0.1.0",
      protocols: [...WORKER_PROTOCOLS],
      process: randomUUID(),
    },
  });
  const call = <Answer>(path: string, body: unknown) =>
    post<Answer>(wire, { path, token: session.token, body });
  const report = async (
    fences: readonly Fence[],
    record: Record<string, unknown> & { seq: number },
    next?: Report["next"],
  ) => {
    const attempts = fences.map(({ attemptId, epoch, nonce }) => ({
      attemptId,
      epoch,
      nonce,
      control: [record],
      bulk: [],
    }));
    const answer = await call<Reported>(ROUTES.report.path, { attempts, next } satisfies Report);
    const refused = answer.attempts.find((one) => one.controlAcked < record.seq || one.rejected.length > 0);
    if (refused !== undefined) throw new Error(`A report was refused: ${JSON.stringify(refused)}`);
    return answer.next;
  };
  const log = async ({ attemptId, epoch, nonce }: Fence, bulk: readonly LogRecord[]) => {
    const last = bulk.at(-1)?.seq ?? 0;
    const body = { attempts: [{ attemptId, epoch, nonce, control: [], bulk: [...bulk] }] } satisfies Report;
    const answer = await call<{ attempts: { bulkAcked: number; rejected: unknown[] }[] }>(
      ROUTES.report.path,
      body,
    );
    const refused = answer.attempts.find((one) => one.bulkAcked < last || one.rejected.length > 0);
    if (refused !== undefined) throw new Error(`Lines were refused: ${JSON.stringify(refused)}`);
  };
  let polls = 0;
  // One poll at a time, so each knows of what all before it brought.
  const number = () => ({ heard: polls++, seq: polls });
  const completed = () => ({
    seq: 2,
    type: "ended",
    at: at(),
    outcome: "completed",
    cause: null,
    exitCode: 0,
    lastBulkSeq: 0,
  });
  const reportRecord = async (
    fences: readonly Fence[],
    record: Record<string, unknown> & { seq: number },
  ) => {
    await report(fences, record);
  };
  return {
    claim(body) {
      return call<Claimed>(ROUTES.claim.path, {
        free: 1,
        held: [],
        waitMs: 25_000,
        draining: false,
        ...number(),
        ...body,
      });
    },
    log,
    reportRecord,
    start: (fences) => reportRecord(fences, { seq: 1, type: "started", at: at(), launcher: "warm" }),
    end: (fences) => reportRecord(fences, completed()),
    async endAndClaim(fences, free) {
      const next = await report(fences, completed(), { free, held: [], draining: false, ...number() });
      return next ?? { assignments: [], commands: [], superseded: false };
    },
    async ask({ attemptId, epoch, nonce, runId }) {
      const callId = await derivedId(runId, ASKED_AT);
      const asked = { kind: "wait", path: ASKED_AT, wait: QUESTION };
      await call(ROUTES.call.path, { attemptId, epoch, nonce, callId, call: asked });
    },
    suspend: (fences) =>
      reportRecord(fences, {
        seq: 2,
        type: "ended",
        at: at(),
        outcome: "suspended",
        cause: null,
        waits: [ASKED_AT],
        exitCode: 0,
        lastBulkSeq: 0,
      }),
  };
}
