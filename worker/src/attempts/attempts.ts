import {
  type Amounts,
  type Assignment,
  type Claimed,
  type Command,
  type ComputeNeeds,
  type Fence,
  LIMITS,
  type Renewed,
  type Reported,
} from "@towpath/contract";
import { freeOf, type Stock, type Taken, take } from "../compute/index.ts";
import { failpoint } from "../host/failpoint.ts";
import { callAt } from "../host/index.ts";
import type { ClaimSource, RenewSource, Reporting, ReportSource } from "../protocol/index.ts";
import type { DatabaseWatch } from "../state/database-watch.ts";
import { createBreaker, type Paused } from "./breaker.ts";
import { ClaimedAttempt, type StopRequest } from "./claimed-attempt.ts";
import type { AttemptDeps, Holder, Wake } from "./deps.ts";
import { type AskedJournal, type Offering, type OfferTaker, offerAgain } from "./offer-again.ts";
import { isBusy } from "./phases.ts";
import { RefusalPauses } from "./refusal-pauses.ts";
import { findAttempts } from "./resume.ts";
import { runAttempt } from "./run.ts";
import { AnsweredTime } from "./stuck-offers.ts";
import { isUnstarted, UnstartedJournals } from "./unstarted-journals.ts";
import { UnstartedPace } from "./unstarted-pace.ts";

/** How many attempts a worker takes, and the loops that it wakes. */
export interface AttemptsOptions {
  readonly capacity: number;
  readonly breakerFailures: number;
  /** So many refusals of a version in a row start a back-off. */
  readonly refusalsInRow: number;
  /** The worker's amounts, such as memory and GPUs. */
  readonly stock: Stock;
  /** What the worker knows of the control plane's database. */
  readonly database: Pick<DatabaseWatch, "isOffering" | "reconciled">;
  readonly wake: Wake;
}

/** All attempts that this worker holds. What it offers, renews and reports follows from them. */
export class Attempts implements ClaimSource, RenewSource, ReportSource, OfferTaker {
  readonly #deps: AttemptDeps;
  readonly #options: AttemptsOptions;
  readonly #claimed = new Map<string, ClaimedAttempt>();
  readonly #waiting = new Set<() => void>();
  readonly #answered = new AnsweredTime();
  readonly #unstarted: UnstartedJournals;
  readonly #pace: UnstartedPace;
  readonly asked = new Map<string, AskedJournal>();
  #draining = false;

  constructor(
    deps: Omit<AttemptDeps, "allot" | "breaker" | "changed" | "refusals" | "wake">,
    options: AttemptsOptions,
  ) {
    this.#options = options;
    this.#unstarted = new UnstartedJournals(deps.paths.journals);
    const wakeAfter = (ms: number) => this.#wakeAfter(ms);
    const { bootClock: clock, log } = deps;
    this.#pace = new UnstartedPace({ clock, log, wakeAfter });
    this.#deps = {
      ...deps,
      wake: options.wake,
      breaker: createBreaker({ clock, log, wakeAfter }, options.breakerFailures),
      refusals: new RefusalPauses({ clock, log }, options.refusalsInRow),
      changed: () => this.#changed(),
      allot: (claimed, compute) => this.#allot(claimed, compute),
    };
  }

  /** Goes on with what an earlier process of this worker left in the state directory. */
  async resume(): Promise<void> {
    for (const claimed of await findAttempts(this.#deps)) this.add(claimed);
  }

  /** Offers what was acknowledged in the last hour again, because the control plane's database went back. */
  offerAgain(signal: AbortSignal): Offering {
    return offerAgain(this.#deps, this, signal);
  }

  /** Holds an attempt until it is over. */
  add(claimed: ClaimedAttempt): void {
    this.#claimed.set(claimed.name, claimed);
    this.#changed();
    void runAttempt(this.#deps, claimed).then(() => {
      this.#claimed.delete(claimed.name);
      if (isUnstarted(claimed)) this.#pace.ended();
      this.#changed();
      this.#unstarted
        .ended(claimed, (name) => this.names().has(name))
        .catch((error: unknown) => {
          this.#deps.log.warn({ error: String(error) }, "an old journal could not be removed");
        });
    });
  }

  all(): ClaimedAttempt[] {
    return [...this.#claimed.values()];
  }

  has(name: string): boolean {
    return this.#claimed.has(name);
  }

  /** Names of the claims whose journals are in use. */
  names(): ReadonlySet<string> {
    return new Set([...this.#claimed.keys(), ...this.asked.keys()]);
  }

  get answeredMs(): number {
    return this.#answered.totalMs;
  }

  free(): number {
    if (this.#draining || !this.#pace.isOpen) return 0;
    const room = Math.min(this.#options.capacity - this.busy(), LIMITS.attempts - this.#claimed.size);
    return this.#deps.breaker.allow(Math.max(0, room));
  }

  /** How many attempts take one of the worker's slots. */
  busy(): number {
    return this.all().filter(({ phase }) => isBusy(phase)).length;
  }

  amounts(): Amounts | null {
    const taken = this.#taken();
    return taken.length === 0 ? null : freeOf(this.#options.stock, taken);
  }

  held(): Fence[] {
    // Running attempts come first: the control plane takes an attempt that is not in the list for lost.
    const claimedAttempts = this.all()
      .filter(({ phase }) => phase !== "abandoned")
      .sort((a, b) => Number(isBusy(b.phase)) - Number(isBusy(a.phase)));
    // A control plane of an earlier release does not wait for the offering. It must see these attempts in the list too.
    const asked = this.reconciled() === undefined ? this.asked.values() : [];
    return [...claimedAttempts, ...asked].slice(0, LIMITS.attempts).map(({ fence }) => fence);
  }

  draining(): boolean {
    return this.#draining;
  }

  reconciled(): string | null | undefined {
    return this.#options.database.reconciled;
  }

  paused(): Paused | null {
    return this.#deps.breaker.paused();
  }

  take(answer: Claimed, sentAtMs: number): boolean {
    this.#wasAnswered();
    let changes = false;
    if (answer.assignments.length > 0) failpoint("claim");
    for (const assignment of this.#within(answer.assignments))
      if (this.#assign(assignment, sentAtMs)) changes = true;
    return this.#command(answer.commands) || changes;
  }

  async begun(mostMs: number): Promise<void> {
    const isBeginning = ({ phase }: ClaimedAttempt) => phase === "preparing" || phase === "confirming";
    await this.until(() => !this.all().some(isBeginning), mostMs);
  }

  renewed(answer: Renewed, sentAtMs: number): void {
    this.#wasAnswered();
    for (const lease of answer.leases) {
      const claimed = this.#find(lease.attemptId);
      if (lease.status === "renewed") claimed?.renewLease(sentAtMs, lease.leaseMs);
      // An attempt that has ended here is settled by its report. The control plane may have closed it already.
      else if (claimed && !this.#options.database.isOffering)
        claimed.requestStop({ reason: "abandoned", words: lease.reason });
    }
    this.#command(answer.commands);
  }

  reporting(): Reporting[] {
    const pending: Reporting[] = this.all().filter((claimed) => claimed.sendable);
    return this.asked.size === 0 ? pending : [...pending, ...this.asked.values()];
  }

  urgent(): boolean {
    return this.asked.size > 0 || this.all().some(({ urgent }) => urgent);
  }

  endsUnreported(): boolean {
    return this.all().some(({ phase, sendable }) => phase === "closing" && sendable);
  }

  sending(): void {
    this.#answered.reportSent();
  }

  answered({ commands }: Pick<Reported, "commands">): void {
    this.#answered.reported(this.#deps.bootClock.nowMs());
    this.#check();
    this.#command(commands);
  }

  refused(): void {
    this.#answered.reportRefused();
  }

  unanswered(): void {
    this.#answered.reportFailed();
  }

  /** Takes no more attempts, and gives back those that have no process. */
  startDraining(): void {
    this.#draining = true;
    for (const claimed of this.all()) if (!claimed.process) claimed.requestStop({ reason: "evicted" });
    this.#options.wake.claim();
  }

  /** Stops every process. */
  evictAll({ now = false }: Pick<StopRequest, "now"> = {}): void {
    for (const claimed of this.all()) claimed.requestStop({ reason: "evicted", now });
  }

  /** Waits until no attempt takes a slot. Returns false when the time is over first. */
  async untilIdle(ms: number): Promise<boolean> {
    return await this.until(() => this.busy() === 0, ms);
  }

  /** Waits until everything is reported. Returns false when the time is over first. */
  async untilReported(ms: number): Promise<boolean> {
    return await this.until(() => this.#claimed.size === 0, ms);
  }

  /** The amounts of all attempts that may have a process. They are free as soon as an attempt has none, for whatever reason. */
  #taken(except?: string): Taken[] {
    return this.all().flatMap(({ phase, name, taken }) =>
      taken === null || name === except || !isBusy(phase) ? [] : [taken],
    );
  }

  #allot(claimed: Holder, compute: ComputeNeeds): void {
    const taken = take(this.#options.stock, this.#taken(claimed.name), compute);
    claimed.taken = Object.keys(taken.needs).length === 0 ? null : taken;
    if (claimed.taken !== null) this.#options.wake.claim();
  }

  /** As many of these as the worker can hold. An honest control plane gives no more than a poll has offered. */
  #within(assignments: readonly Assignment[]): readonly Assignment[] {
    // They are sent again. The log has the reason.
    if (!this.#pace.isOpen) return [];
    const room = Math.max(0, LIMITS.attempts - this.#claimed.size);
    if (assignments.length > room)
      this.#deps.log.error(
        { assigned: assignments.length, room },
        "the control plane assigned more attempts than a worker can hold; the rest of them is ignored",
      );
    return assignments.slice(0, room);
  }

  #assign(assignment: Assignment, sentAtMs: number): boolean {
    const found = this.#find(assignment.attemptId);
    if (found?.fence.epoch === assignment.epoch && found.fence.nonce === assignment.nonce) {
      found.renewLease(sentAtMs, assignment.leaseMs);
      return false;
    }
    if (found && (isBusy(found.phase) || found.fence.epoch === assignment.epoch)) {
      // An earlier claim of the same attempt is over, but may still have a process here. This claim is delivered
      // again and taken once that is gone: never two processes, nor two claims in one folder.
      found.requestStop({ reason: "abandoned" });
      return false;
    }
    const claimed = new ClaimedAttempt(this.#deps, {
      fence: assignment,
      assignment,
      phase: "preparing",
      leaseMs: assignment.leaseMs,
      leaseEndsAtMs: sentAtMs + assignment.leaseMs,
    });
    if (this.#draining) claimed.giveBack = "The worker is being drained.";
    else if (this.busy() >= this.#options.capacity) claimed.giveBack = "The worker has no free slot.";
    else claimed.giveBack = this.#deps.refusals.reason(assignment);
    const facts = { attempt: claimed.name, deployment: assignment.deployment };
    this.#deps.log.info(facts, "an attempt was assigned");
    this.add(claimed);
    return true;
  }

  /** Returns whether any command was new. */
  #command(commands: readonly Command[]): boolean {
    let changes = false;
    for (const command of commands) {
      const claimed = this.#find(command.attemptId);
      if (!claimed || !isBusy(claimed.phase)) continue;
      if (command.kind === "answers") {
        changes = claimed.board.answers(command.paths) || changes;
        continue;
      }
      // A database that went back can take a claim that it has forgotten for that of another. It is about to
      // learn of it.
      if (command.kind === "abandon" && this.#options.database.isOffering) continue;
      // A control plane of an earlier release asks every attempt of a cancelled run to stop.
      if (command.kind === "cancel" && claimed.assignment?.onlyHook !== undefined) continue;
      if (claimed.stop === null) changes = true;
      claimed.requestStop({
        reason: command.kind === "cancel" ? "user" : "abandoned",
        words: command.reason,
      });
    }
    return changes;
  }

  /** The newest claim of an attempt. */
  #find(attemptId: string): ClaimedAttempt | undefined {
    return this.all()
      .filter(({ fence }) => fence.attemptId === attemptId)
      .reduce<ClaimedAttempt | undefined>((a, b) => (a && a.fence.epoch > b.fence.epoch ? a : b), undefined);
  }

  #changed(): void {
    this.#options.wake.claim();
    this.#check();
  }

  #check(): void {
    for (const check of this.#waiting) check();
  }

  #wasAnswered(): void {
    this.#answered.answered(this.#deps.bootClock.nowMs());
    this.#check();
  }

  #wakeAfter(ms: number): void {
    const { bootClock } = this.#deps;
    // Too soon, a poll would offer nothing, and nobody would end it.
    callAt(bootClock, { atMs: bootClock.nowMs() + ms, call: () => this.#options.wake.claim() });
  }

  async until(isSo: () => boolean, ms: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = () => {
      if (isSo()) resolve();
    };
    this.#waiting.add(check);
    const over = new AbortController();
    check();
    await Promise.race([promise, this.#deps.sleep(ms, over.signal).catch(() => {})]);
    over.abort();
    this.#waiting.delete(check);
    return isSo();
  }
}
