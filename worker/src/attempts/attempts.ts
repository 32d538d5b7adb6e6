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
import type { ClaimSource, RenewSource, Reporting, ReportSource } from "../protocol/index.ts";
import type { DatabaseWatch } from "../state/database-watch.ts";
import { createBreaker, type Paused } from "./breaker.ts";
import { ClaimedAttempt, type StopRequest } from "./claimed-attempt.ts";
import type { AttemptDeps, Holder, Wake } from "./deps.ts";
import { type AskedJournal, type Offering, type OfferTaker, offerAgain } from "./offer-again.ts";
import { isBusy } from "./phases.ts";
import { findAttempts } from "./resume.ts";
import { runAttempt } from "./run.ts";
import { AnsweredTime } from "./stuck-offers.ts";

/** How many attempts a worker takes, and whom it wakes. */
export interface AttemptsOptions {
  readonly capacity: number;
  readonly breakerFailures: number;
  /** What it has for runs that need some. */
  readonly stock: Stock;
  /** What is known of the control plane's database. */
  readonly database: Pick<DatabaseWatch, "isOffering" | "reconciled">;
  readonly wake: Wake;
}

/** Every attempt that this worker holds: what it offers, renews and reports follows from here. */
export class Attempts implements ClaimSource, RenewSource, ReportSource, OfferTaker {
  readonly #deps: AttemptDeps;
  readonly #options: AttemptsOptions;
  readonly #claimed = new Map<string, ClaimedAttempt>();
  readonly #waiting = new Set<() => void>();
  readonly #answered = new AnsweredTime();
  readonly asked = new Map<string, AskedJournal>();
  #draining = false;

  constructor(deps: Omit<AttemptDeps, "allot" | "breaker" | "changed" | "wake">, options: AttemptsOptions) {
    this.#options = options;
    this.#deps = {
      ...deps,
      wake: options.wake,
      breaker: createBreaker(
        { clock: deps.bootClock, log: deps.log, wakeAfter: (ms) => this.#wakeAfter(ms) },
        options.breakerFailures,
      ),
      changed: () => this.#changed(),
      allot: (claimed, compute) => this.#allot(claimed, compute),
    };
  }

  /** Takes up what an earlier process of this worker left in the state directory. */
  async resume(): Promise<void> {
    for (const claimed of await findAttempts(this.#deps)) this.add(claimed);
  }

  /** Offers what was acknowledged in the last hour again: the control plane's database went back. */
  offerAgain(signal: AbortSignal): Offering {
    return offerAgain(this.#deps, this, signal);
  }

  /** Holds an attempt until it is over. */
  add(claimed: ClaimedAttempt): void {
    this.#claimed.set(claimed.name, claimed);
    this.#changed();
    void runAttempt(this.#deps, claimed).then(() => {
      this.#claimed.delete(claimed.name);
      this.#changed();
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
    if (this.#draining) return 0;
    const room = Math.min(this.#options.capacity - this.busy(), LIMITS.attempts - this.#claimed.size);
    return this.#deps.breaker.allow(Math.max(0, room));
  }

  /** How many attempts take one of the worker's places. */
  busy(): number {
    return this.all().filter(({ phase }) => isBusy(phase)).length;
  }

  amounts(): Amounts | null {
    const taken = this.#taken();
    return taken.length === 0 ? null : freeOf(this.#options.stock, taken);
  }

  held(): Fence[] {
    // What runs comes first: of what is missing from the list, the control plane believes that it is lost.
    const claimedAttempts = this.all()
      .filter(({ phase }) => phase !== "abandoned")
      .sort((a, b) => Number(isBusy(b.phase)) - Number(isBusy(a.phase)));
    // A control plane that does not ask what was offered disowns what is being asked about unless it is named.
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
    for (const assignment of answer.assignments) if (this.#assign(assignment, sentAtMs)) changes = true;
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
      // What has ended here is settled by its report alone: the control plane may have closed it already.
      else if (claimed && !this.#options.database.isOffering)
        claimed.requestStop({ reason: "abandoned", words: lease.reason });
    }
    this.#command(answer.commands);
  }

  reporting(): Reporting[] {
    const pending: Reporting[] = this.all().filter((claimed) => claimed.pending);
    return this.asked.size === 0 ? pending : [...pending, ...this.asked.values()];
  }

  urgent(): boolean {
    return this.asked.size > 0 || this.all().some(({ urgent }) => urgent);
  }

  endsUnreported(): boolean {
    return this.all().some(({ phase, pending }) => phase === "closing" && pending);
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

  /** Takes nothing more, and gives back what has not begun. */
  startDraining(): void {
    this.#draining = true;
    for (const claimed of this.all()) if (!claimed.process) claimed.requestStop({ reason: "evicted" });
    this.#options.wake.claim();
  }

  /** Stops everything that runs. */
  evictAll({ now = false }: Pick<StopRequest, "now"> = {}): void {
    for (const claimed of this.all()) claimed.requestStop({ reason: "evicted", now });
  }

  /** Waits until no attempt is at work; false when the time is over first. */
  async untilIdle(ms: number): Promise<boolean> {
    return await this.until(() => this.busy() === 0, ms);
  }

  /** Waits until everything is reported; false when the time is over first. */
  async untilReported(ms: number): Promise<boolean> {
    return await this.until(() => this.#claimed.size === 0, ms);
  }

  /** What attempts have whose processes may be there: it is free again as soon as one is not, however that came about. */
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

  #assign(assignment: Assignment, sentAtMs: number): boolean {
    const found = this.#find(assignment.attemptId);
    if (found?.fence.epoch === assignment.epoch && found.fence.nonce === assignment.nonce) {
      found.renewLease(sentAtMs, assignment.leaseMs);
      return false;
    }
    if (found && (isBusy(found.phase) || found.fence.epoch === assignment.epoch)) {
      // An earlier claim of the same attempt is over, whatever it still does here. This one is taken when that is gone and
      // it is delivered again: never two processes, nor two claims in one folder.
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
    const facts = { attempt: claimed.name, deployment: assignment.deployment };
    this.#deps.log.info(facts, "an attempt was assigned");
    this.add(claimed);
    return true;
  }

  /** Says whether any command was not reflected yet. */
  #command(commands: readonly Command[]): boolean {
    let changes = false;
    for (const command of commands) {
      const claimed = this.#find(command.attemptId);
      if (!claimed || !isBusy(claimed.phase)) continue;
      if (command.kind === "answers") {
        changes = claimed.board.answers(command.paths) || changes;
        continue;
      }
      // A database that went back may take a claim for another's that it has forgotten, and learns of it now.
      if (command.kind === "abandon" && this.#options.database.isOffering) continue;
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
    setTimeout(() => this.#options.wake.claim(), ms).unref();
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
