import {
  createBackoff,
  type Fence,
  LIMITS,
  Problem,
  type ProblemCode,
  type Reported,
  WakeUp,
} from "@towpath/contract";
import { failpoint } from "../host/failpoint.ts";
import type { Ride } from "./claim.ts";
import { askedPauseMs, ProtocolError } from "./errors.ts";
import { createOutageLog, type Loop, type LoopDeps, pause } from "./loop.ts";
import { StalledReports, Turns } from "./turns.ts";

/** Bytes of records in one report. It leaves room below the server's limit for fences and commas. */
const BATCH_BYTES = LIMITS.reportBytes - 1024 * 1024;

/**
 * Bytes of records above which a report counts as large. The control plane serves few large ones at once, and
 * limits their time.
 */
const LARGE_BYTES = 768 * 1024;

/** A record on the wire: what the journal holds, with its number. */
export interface NumberedRecord {
  readonly seq: number;
  readonly [field: string]: unknown;
}

/** How much one attempt may put into a report. */
export interface PageBudget {
  /** Records of each lane. */
  readonly records: number;
  /** Bytes of both lanes together. */
  readonly bytes: number;
}

/** The next records of one attempt that are not acknowledged. */
export interface ReportPage {
  readonly control: NumberedRecord[];
  readonly bulk: NumberedRecord[];
  readonly bytes: number;
  /** The page only asks how far the control plane has come. So far it has acknowledged these. */
  readonly acked?: { readonly control: number; readonly bulk: number };
}

/** The control plane's answer for one attempt. */
export type AttemptAnswer = Reported["attempts"][number];

/** An attempt that has records to report. */
export interface Reporting {
  readonly fence: Fence;
  page(budget: PageBudget): Promise<ReportPage>;
  /** Takes the answer. Returns whether it changed anything. */
  reported(answer: AttemptAnswer, sentAtMs: number): Promise<boolean>;
  /** Gives up records that the control plane cannot read. Later ones must not wait for them. */
  giveUp(page: ReportPage, why: string): Promise<void>;
}

/** The source of reports. */
export interface ReportSource {
  /** Attempts with something to report. */
  reporting(): Reporting[];
  /** Whether something waits for any of it. */
  urgent(): boolean;
  /** A report is sent. One of the next three follows. */
  sending(): void;
  /** A report was answered, and each attempt has taken its part. */
  answered(answer: Pick<Reported, "commands">): void;
  /** A report was rejected as a whole. */
  refused(): void;
  /** A report had no answer. */
  unanswered(): void;
}

/** Problems with the report itself: the same report cannot succeed. */
const POISON: readonly ProblemCode[] = ["bad-request", "payload-too-large", "unsupported-media-type"];

interface Batch {
  readonly parts: readonly { attempt: Reporting; page: ReportPage }[];
  readonly records: number;
}

/** How large a report is: a whole one from all attempts, or a part of one attempt's records, each attempt in turn. */
interface Size {
  /** 1, or how many times smaller than a whole report. It doubles after each report that was rejected as a whole. */
  divisor: number;
}

/** With this divisor a page holds one record. */
const DIVISOR_MAX = 1024;
/** If the questions of this many attempts are rejected in a row, the fault is the control plane's. */
const QUESTIONS_REFUSED_MAX = 3;
/** How long after a report more is gathered for the next one, milliseconds, while nothing waits for it. */
const REST_MS = 25;
/** How often the loop looks for records without a nudge, milliseconds. Then it tries a journal again that could not be read. */
const LOOK_MS = 1_000;

/**
 * Reports for all attempts in one call. While one report is under way, records gather for the next: under load
 * reports grow, and an idle worker sends at once. A start, an end and a result that a flow waits for leave at
 * once. For the rest there are at most forty reports a second, because each costs a round trip and a commit.
 * @param askForWork Returns the poll to send with the report of an end, if work is wanted.
 */
export function startReporting(deps: LoopDeps, source: ReportSource, askForWork: () => Ride | null): Loop {
  const stopping = new AbortController();
  const wakeUp = new WakeUp();
  const retry = new WakeUp();

  async function run(): Promise<void> {
    const backoff = createBackoff(deps.random);
    const outage = createOutageLog(deps.log, "report");
    const size: Size = { divisor: 1 };
    const turns = new Turns<Reporting>();
    const stalled = new StalledReports<Reporting>(deps);
    const questionsRefused = new Set<Reporting>();
    let mayRide = true;
    while (!stopping.signal.aborted) {
      const batch = await collect(deps, turns.inOrder(stalled.due(source.reporting())), size);
      if (batch.parts.length === 0) {
        const ms = Math.min(LOOK_MS, stalled.nextInMs());
        await wakeUp.wait(ms, stopping.signal, deps.sleep);
        continue;
      }
      const ride = mayRide && ends(batch) ? askForWork() : null;
      const result = await send(deps, source, { batch, ride, stalled, signal: stopping.signal });
      // Perhaps only the poll was rejected. The records are sent again without it.
      mayRide = result.kind !== "poison";
      if (result.kind === "poison" && ride !== null) continue;
      turns.had(batch.parts.map(({ attempt }) => attempt));
      if (result.kind === "done") {
        questionsRefused.clear();
        outage.succeeded();
        backoff.reset();
        if (result.progressed) grow(size);
        await rest(deps, source, { wakeUp, signal: stopping.signal });
        continue;
      }
      if (result.kind === "poison") {
        const question = await shrink(deps, { batch, size, stalled, why: result.error.message });
        if (question !== null) questionsRefused.add(question);
        if (question === null || questionsRefused.size < QUESTIONS_REFUSED_MAX) continue;
      }
      outage.failed(result.error);
      source.unanswered();
      if (isTooLargeNow(batch, result.error)) size.divisor = Math.min(DIVISOR_MAX, size.divisor * 2);
      const ms = backoff.next(askedPauseMs(result.error));
      // A pause that the control plane asked for is kept.
      const isAnswered = result.error instanceof Problem;
      await (isAnswered ? new WakeUp() : retry).wait(ms, stopping.signal, deps.sleep);
    }
  }

  const running = run();
  return {
    nudge: () => wakeUp.wake(),
    retry: () => retry.wake(),
    async stop() {
      stopping.abort(new Error("the worker stops"));
      await running;
    },
  };
}

/** Gathers records until something waits for one. */
async function rest(
  deps: LoopDeps,
  source: ReportSource,
  { wakeUp, signal }: { wakeUp: WakeUp; signal: AbortSignal },
): Promise<void> {
  if (source.urgent()) return;
  const over = new AbortController();
  void pause(deps.sleep, { ms: REST_MS, signal: AbortSignal.any([signal, over.signal]) }).then(() =>
    over.abort(),
  );
  while (!over.signal.aborted && !source.urgent()) await wakeUp.wait(null, over.signal);
  over.abort();
}

/**
 * Handles a report that was rejected as a whole. The next one is smaller. A single record that is rejected is
 * given up. An attempt whose question alone is rejected is delayed, so that the others go on.
 * @returns the attempt whose question alone was rejected
 */
async function shrink(
  deps: LoopDeps,
  args: { batch: Batch; size: Size; stalled: StalledReports<Reporting>; why: string },
): Promise<Reporting | null> {
  const { batch, size, stalled } = args;
  const [first, ...others] = batch.parts;
  if (first === undefined || others.length > 0 || batch.records > 1) {
    size.divisor = Math.min(DIVISOR_MAX, size.divisor * 2);
    return null;
  }
  if (batch.records === 1) {
    await giveUp(deps, batch, args.why);
    return null;
  }
  stalled.answered(first.attempt, { progressed: false });
  return first.attempt;
}

/** Whether a smaller report may succeed where this one did not: over a slow network, or while others send large ones. */
function isTooLargeNow({ parts, records }: Batch, error: unknown): boolean {
  if (error instanceof Problem && error.code !== "too-many-requests") return false;
  return records > 1 && parts.reduce((sum, { page }) => sum + page.bytes, 0) > LARGE_BYTES;
}

/** Back to whole reports step by step: if a proxy rejects large ones, they stay small. */
function grow(size: Size): void {
  size.divisor = Math.max(1, size.divisor / 2);
}

async function collect(deps: LoopDeps, reporting: readonly Reporting[], size: Size): Promise<Batch> {
  const inTurn = ofNewestClaims(reporting).slice(0, LIMITS.attempts);
  const whole = size.divisor === 1;
  const parts: { attempt: Reporting; page: ReportPage }[] = [];
  const records = Math.max(1, Math.floor(LIMITS.laneRecords / size.divisor));
  let bytes = Math.ceil(BATCH_BYTES / size.divisor);
  let left: number = LIMITS.reportRecords;
  for (const attempt of inTurn) {
    // A page may hold this many records of each lane.
    const ofEach = Math.min(records, Math.floor(left / 2));
    if (bytes <= 0 || ofEach === 0 || (!whole && parts.length > 0)) break;
    const page = await pageOf(deps, attempt, { records: ofEach, bytes });
    if (page.control.length + page.bulk.length === 0 && page.acked === undefined) continue;
    parts.push({ attempt, page: records === 1 ? firstRecord(page) : page });
    bytes -= page.bytes;
    left -= page.control.length + page.bulk.length;
  }
  const count = parts.reduce((sum, { page }) => sum + page.control.length + page.bulk.length, 0);
  return { parts, records: count };
}

/**
 * Each attempt once, its earliest claim last. Answers name attempts, not claims, so an earlier claim waits until
 * the newer one has nothing to report.
 */
function ofNewestClaims(reporting: readonly Reporting[]): Reporting[] {
  const newest = new Map<string, Reporting>();
  for (const one of reporting) {
    const { attemptId, epoch } = one.fence;
    if (epoch > (newest.get(attemptId)?.fence.epoch ?? -1)) newest.set(attemptId, one);
  }
  return reporting.filter((one) => newest.get(one.fence.attemptId) === one);
}

/** A journal that cannot be read does not stop the other attempts. */
async function pageOf(deps: LoopDeps, attempt: Reporting, budget: PageBudget): Promise<ReportPage> {
  try {
    return await attempt.page(budget);
  } catch (error) {
    deps.log.error(
      {
        attemptId: attempt.fence.attemptId,
        error: error instanceof Error ? error.message : String(error),
      },
      "the journal cannot be read",
    );
    return { control: [], bulk: [], bytes: 0 };
  }
}

function firstRecord(page: ReportPage): ReportPage {
  return page.control.length > 0 ? { ...page, bulk: [] } : page;
}

/** Whether a report says that an attempt has ended. */
function ends({ parts }: Batch): boolean {
  return parts.some(({ page }) => isEnd(page));
}

function isEnd({ control }: ReportPage): boolean {
  return control.some(({ type }) => type === "ended");
}

type SendResult =
  | { readonly kind: "done"; readonly progressed: boolean }
  | { readonly kind: "poison"; readonly error: Error }
  | { readonly kind: "failed"; readonly error: unknown };

async function send(
  deps: LoopDeps,
  source: ReportSource,
  args: { batch: Batch; ride: Ride | null; stalled: StalledReports<Reporting>; signal: AbortSignal },
): Promise<SendResult> {
  const { ride } = args;
  try {
    const attempts = args.batch.parts.map(({ attempt, page }) => ({
      ...attempt.fence,
      control: page.control,
      bulk: page.bulk,
      ...(page.acked === undefined ? {} : { acked: page.acked }),
      // The control plane computes from it how long ago the attempt ended. Earlier releases ignore it.
      ...(isEnd(page) ? { sentAt: new Date(deps.clock.nowMs()).toISOString() } : {}),
    }));
    failpoint("report");
    source.sending();
    const body = { attempts, ...(ride === null ? {} : { next: ride.next }) };
    const { answer, sentAtMs } = await deps.connection.call("report", body, { signal: args.signal });
    failpoint("acknowledge");
    if (ends(args.batch)) failpoint("end");
    ride?.over(answer.next ?? null, sentAtMs);
    const answers = new Map(answer.attempts.map((one) => [one.attemptId, one]));
    let progressed = false;
    for (const { attempt } of args.batch.parts) {
      const own = answers.get(attempt.fence.attemptId);
      const took = own !== undefined && (await attempt.reported(own, sentAtMs));
      args.stalled.answered(attempt, { progressed: took });
      if (took) progressed = true;
    }
    source.answered(answer);
    return { kind: "done", progressed };
  } catch (error) {
    ride?.over(null, 0);
    // An answer about the session says nothing of the records.
    const isUnreadable = error instanceof ProtocolError && error.verb === "report";
    const isPoison = isUnreadable || (error instanceof Problem && POISON.includes(error.code));
    if (!isPoison) return { kind: "failed", error };
    source.refused();
    return { kind: "poison", error };
  }
}

async function giveUp(deps: LoopDeps, batch: Batch, why: string): Promise<void> {
  for (const { attempt, page } of batch.parts) {
    deps.log.error(
      {
        attemptId: attempt.fence.attemptId,
        control: page.control.map(({ seq }) => seq),
        bulk: page.bulk.map(({ seq }) => seq),
        why,
      },
      "the control plane cannot read a record; it stays in the journal and is not sent again",
    );
    await attempt.giveUp(page, why);
  }
}
