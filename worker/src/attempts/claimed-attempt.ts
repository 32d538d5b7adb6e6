import { join } from "node:path";
import {
  type Assignment,
  type Fence,
  LIMITS,
  type LogLine,
  type ReleaseCode,
  type RunError,
} from "@towpath/contract";
import type { ProcessIdentity } from "@towpath/contract/process";
import type { Taken } from "../compute/index.ts";
import { type CommandBoard, createCommandBoard } from "../gateway/index.ts";
import { type ExitStatus, STOPS, type StopReason } from "../launch/index.ts";
import type { AttemptAnswer, PageBudget, Reporting, ReportPage } from "../protocol/index.ts";
import { type RunSeal, sealOf } from "../sealing/index.ts";
import type { AttemptUser } from "../walls/index.ts";
import { type AttemptStore, openStore, type StoredAttempt } from "./attempt-store.ts";
import { type AttemptDeps, instant } from "./deps.ts";
import { linesStoreOf } from "./lines-store.ts";
import { claimName } from "./paths.ts";
import { isBusy, isOver, movePhase, type Phase, type PhaseMove } from "./phases.ts";
import { Spool } from "./spool.ts";
import { closeStoredValues } from "./store-access.ts";

/** The control plane's answer to a start. */
export type StartAnswer =
  | { readonly kind: "accepted" }
  | { readonly kind: "declined"; readonly detail: string };

/** A process that runs an attempt. */
export interface HeldProcess {
  /** The leader of its group: the runner, or the first process of its namespaces. */
  readonly identity: ProcessIdentity;
  readonly mark: string;
  readonly exited: Promise<ExitStatus>;
  /** Asks it to end, then terminates it, then kills it. Returns at once. */
  stop(): void;
  /** Kills it. Returns at once. */
  kill(): void;
}

/** How to stop an attempt. */
export interface StopRequest {
  readonly reason: StopReason;
  /** The reason that a person gave. The flow hears it. */
  readonly words?: string;
  /** Kills the process at once, without asking. */
  readonly now?: boolean;
}

/** What is known when a claim begins. */
export interface ClaimFacts {
  readonly fence: Fence;
  readonly assignment: Assignment | null;
  readonly phase: Phase;
  readonly leaseEndsAtMs: number;
  readonly leaseMs: number;
}

/**
 * One claim of one attempt, from its assignment until the control plane has everything. It holds the phase and
 * the reporting. `run.ts` moves it.
 */
export class ClaimedAttempt implements Reporting {
  readonly fence: Fence;
  /** Null for a claim that is only reported again. */
  readonly assignment: Assignment | null;
  readonly name: string;
  readonly store: AttemptStore;
  readonly journalDir: string;
  readonly board: CommandBoard;
  readonly startAnswer: PromiseWithResolvers<StartAnswer> = Promise.withResolvers<StartAnswer>();
  /** Aborts when the attempt is to be stopped, and ends what comes before its process. */
  readonly stopping: AbortController = new AbortController();
  leaseEndsAtMs: number;
  leaseMs: number;
  stop: StopReason | null = null;
  cancelReason = "";
  process: HeldProcess | null = null;
  /** What the store holds. Null before the start is reported, and for a claim that is only reported again. */
  stored: StoredAttempt | null = null;
  /** The worker's amounts that it has. Null: only a slot. */
  taken: Taken | null = null;
  /** The store that its verified spec names; null: the default one. Undefined before the verification. */
  specStore: string | null | undefined;
  /** Why the control plane did not accept the start, as an earlier process of this worker heard. */
  declined: string | null = null;
  /** Why it is given back at once. */
  giveBack: string | null = null;
  /** The user of its processes. Null: the worker's user. */
  user: AttemptUser | null = null;
  releaseCode: (() => Promise<void>) | null = null;
  releaseEnvironment: (() => Promise<void>) | null = null;
  readonly #deps: AttemptDeps;
  #phase: Phase;
  #spool: Spool | undefined;
  #opening: Promise<Spool> | undefined;
  readonly #over = Promise.withResolvers<void>();
  /** When the control plane was last asked how far it has come, on the boot-time clock. */
  #askedAtMs = 0;
  #progress = 0;

  constructor(deps: AttemptDeps, init: ClaimFacts) {
    const { attemptId, epoch, nonce } = init.fence;
    this.#deps = deps;
    this.fence = { attemptId, epoch, nonce };
    this.assignment = init.assignment;
    this.#phase = init.phase;
    this.leaseEndsAtMs = init.leaseEndsAtMs;
    this.leaseMs = init.leaseMs;
    this.name = claimName(this.fence);
    this.store = openStore(deps, this.fence);
    this.journalDir = join(deps.paths.journals, this.name);
    this.board = createCommandBoard({ clock: deps.bootClock });
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Resolves once the attempt is closed or abandoned. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /**
   * Makes the claim's folder. Once it resolves, a restart goes on from `confirming`. @returns what is stored,
   * and the gateway's token
   * @param room What its process shares with the worker. Null: the claim's folder.
   */
  async confirm(
    first: Omit<StoredAttempt, "socket" | "phase" | "stop">,
    room: string | null,
  ): Promise<{ stored: StoredAttempt; token: string }> {
    this.#phase = movePhase(this.#phase, "confirm");
    const made = await this.store.create({ ...first, phase: this.#phase, stop: this.stop }, room);
    this.stored = made.stored;
    return made;
  }

  /** Notes that a runner is about to get the task: the first one, or another after that ended without taking it. */
  async launch(launchedAtMs: number): Promise<void> {
    this.stored = this.stored && { ...this.stored, launchedAtMs };
    if (this.#phase === "launched") await this.save();
    else await this.move("launch");
  }

  /**
   * Moves to another phase. A file that cannot be written delays nothing: a restart first reads the journal and
   * what the runner wrote. @throws IllegalMove
   */
  async move(by: Exclude<PhaseMove, "confirm">): Promise<void> {
    const before = this.#phase;
    this.#phase = movePhase(before, by);
    try {
      await this.save();
    } catch (error) {
      const facts = { attempt: this.name, error: String(error) };
      this.#deps.log.warn(facts, "an attempt's file cannot be written");
    }
    if (isOver(this.#phase)) this.#over.resolve();
    if (isBusy(before) !== isBusy(this.#phase)) this.#deps.changed();
  }

  /** Stores these changes. */
  async update(changes: Partial<StoredAttempt>): Promise<void> {
    this.stored = this.stored && { ...this.stored, ...changes };
    await this.save();
  }

  /** Stores the attempt as it is now, if there is a folder. */
  async save(): Promise<void> {
    if (this.stored) await this.store.save({ ...this.stored, phase: this.#phase, stop: this.stop });
  }

  /**
   * Has the attempt stopped. The first reason stays. Only `abandoned` replaces it: then nothing more is
   * reported. Returns at once.
   */
  requestStop({ reason, words = "", now = false }: StopRequest): void {
    if (!isBusy(this.#phase)) return;
    const isFirst = this.stop === null;
    if (!isFirst && reason !== "abandoned" && !now) return;
    if (isFirst || reason === "abandoned") this.stop = reason;
    this.cancelReason ||= words;
    this.#deps.log.info({ attempt: this.name, reason: this.stop }, "stopping an attempt");
    this.stopping.abort(new Error(STOPS[reason].sentence));
    if (isFirst) this.process?.stop();
    if (now) this.process?.kill();
  }

  /** The records to report. The first call opens them. */
  async spool(): Promise<Spool> {
    // All callers share one opening: two would overwrite each other.
    this.#opening ??= this.#open();
    try {
      this.#spool = await this.#opening;
      return this.#spool;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  async #open(): Promise<Spool> {
    const { assignment } = this;
    return await Spool.open(this.#deps, {
      dir: this.journalDir,
      fence: this.fence,
      runId: assignment?.runId,
      seal: assignment && (await this.#sealOf(assignment)),
      lines: linesStoreOf(this.#deps, this),
    });
  }

  /** Seals what the run reports. Null: this worker has no workspace key. */
  async #sealOf({ deployment, runId }: Assignment): Promise<RunSeal | null> {
    const { keyring, connection } = this.#deps;
    if (keyring === null) return null;
    const workspace = this.stored?.workspaceId ?? (await connection.session()).workspaceId;
    return sealOf(keyring, { workspace, deployment, runId });
  }

  /** Asks how far the control plane has come before anything more is reported: its database may have forgotten records. */
  async ask(): Promise<void> {
    // At once: an earlier answer that is being taken must not close this attempt.
    this.#askedAtMs = this.#deps.bootClock.nowMs();
    this.#spool?.ask();
    (await this.spool()).ask();
  }

  /** Whether the control plane must still say how far it has come. */
  get asks(): boolean {
    return this.pending && this.#spool?.asks === true;
  }

  /** Rises with every answer that brought the reporting forward. */
  get progress(): number {
    return this.#progress;
  }

  /** Whether records that the control plane has forgotten are still to be sent again. */
  get resends(): boolean {
    return this.pending && this.#spool?.resends === true;
  }

  /** Whether there is something to report. */
  get pending(): boolean {
    const ours = this.#phase !== "abandoned" && this.stop !== "abandoned";
    return ours && this.#spool?.pending === true;
  }

  /** Whether some of it can be sent now. */
  get sendable(): boolean {
    return this.pending && this.#spool?.sendable === true;
  }

  /** Whether something waits for that report. */
  get urgent(): boolean {
    return this.pending && this.#spool?.urgent === true;
  }

  /** Moves the end of the lease, never backwards. It is measured from the moment when the request was sent. */
  renewLease(sentAtMs: number, leaseMs: number = this.leaseMs): void {
    this.leaseMs = leaseMs;
    this.leaseEndsAtMs = Math.max(this.leaseEndsAtMs, sentAtMs + leaseMs);
  }

  async page(budget: PageBudget): Promise<ReportPage> {
    try {
      if (this.pending) return await (await this.spool()).page(budget);
    } catch (error) {
      // It may have been removed while its journal was read.
      if (!isOver(this.#phase)) throw error;
    }
    return { control: [], bulk: [], bytes: 0 };
  }

  async reported(answer: AttemptAnswer, sentAtMs: number): Promise<boolean> {
    if (answer.status === "stale") {
      await this.#becomeLate(
        "the attempt belongs to a later claim; its unreported records stay in its journal",
      );
      return true;
    }
    const spool = await this.spool();
    // An answer to an earlier request says nothing of the database that was asked about.
    const asked = spool.asks && sentAtMs >= this.#askedAtMs;
    const has = { control: answer.controlAcked, bulk: answer.bulkAcked };
    if (spool.isBehind(has)) {
      await this.#becomeLate(
        "the control plane has more records of the attempt than its journal; the worker gives up the attempt",
      );
      return true;
    }
    for (const { lane, seq, code, detail } of answer.rejected) {
      this.#deps.log.warn({ attempt: this.name, lane, seq, code, detail }, "a record was rejected");
      if (lane === "control" && seq === spool.started) await this.#decline(detail);
    }
    // In one step with what is then sent again: otherwise nothing would seem to be left in between.
    if (asked) spool.noteAnswered();
    const resent = spool.resends;
    const acknowledging = spool.acknowledge(has);
    this.renewLease(sentAtMs);
    // Before it is on the disk: an acknowledgement that is lost is asked for again.
    if (spool.started !== undefined && answer.controlAcked >= spool.started)
      this.startAnswer.resolve({ kind: "accepted" });
    const changes = await acknowledging;
    if (asked || changes) this.#progress += 1;
    // An offering may wait until all attempts were asked, and have sent again what was forgotten.
    if (asked || (resent && !spool.resends)) this.#deps.changed();
    await this.settleIfDone();
    return asked || changes || answer.rejected.length > 0;
  }

  async giveUp(page: ReportPage, why: string): Promise<void> {
    const spool = await this.spool();
    if (page.control.some(({ seq }) => seq === spool.started)) await this.#decline(why);
    await spool.giveUp(page);
    await this.settleIfDone();
  }

  /** On the disk first: once the answer is acknowledged, it is not repeated. */
  async #decline(detail: string): Promise<void> {
    if (this.#phase === "confirming") await this.update({ declined: detail });
    this.startAnswer.resolve({ kind: "declined", detail });
  }

  /** Closes the attempt once the control plane has everything. */
  async settleIfDone(): Promise<void> {
    if (this.#phase !== "closing" || this.#spool === undefined || this.#spool.asks) return;
    // A journal that is only offered again may have no end. Its records are all that is known here.
    if (this.assignment === null ? this.#spool.pending : !this.#spool.settled) return;
    await this.move("settle");
  }

  /** Removes the claim's folder and frees its code. The journal stays. */
  async dispose(): Promise<void> {
    try {
      await this.#spool?.close();
      await Promise.all([this.releaseCode?.(), this.releaseEnvironment?.()]);
      await this.#endUser();
      await this.store.remove(this.stored);
      if (this.user !== null) await this.#deps.walls.users?.release(this.user);
    } catch (error) {
      // It only takes room. The next start of the worker removes it.
      this.#deps.log.warn(
        { attempt: this.name, error: String(error) },
        "an attempt's folder cannot be removed",
      );
    }
  }

  /** Nothing of its user may run while its folder is removed. What it has stored is then nobody's to change. */
  async #endUser(): Promise<void> {
    const { users } = this.#deps.walls;
    if (this.user === null || users === null) return;
    if (!(await users.end(this.user))) throw new Error(`processes of user ${this.user.uid} cannot be killed`);
    if (this.stored !== null) await closeStoredValues(this.#deps, this.stored, this.user);
  }

  /** Journals a line of the worker's own for the run's log. */
  async note(level: LogLine["level"], text: string): Promise<void> {
    const spool = await this.spool();
    await spool.say({ at: instant(this.#deps.clock), level, stream: "worker", text });
    this.#deps.wake.report();
  }

  /** Journals an end without a process. A start that was reported cannot be refused any more, so then the attempt fails. */
  async closeWith(args: {
    outcome: "refused" | "cancelled" | "failed";
    cause: NonNullable<AttemptAnswer["outcome"]>["cause"];
    error: RunError;
  }): Promise<void> {
    const spool = await this.spool();
    const started = spool.started !== undefined;
    const { error } = args;
    await spool.control({
      type: "ended",
      at: instant(this.#deps.clock),
      outcome: started && args.outcome === "refused" ? "failed" : args.outcome,
      cause: args.cause,
      error: { ...error, message: cut(error.message) },
      exitCode: null,
      lastBulkSeq: spool.lastBulkSeq,
    });
    await this.move("close");
  }

  /** Gives back an attempt that was never started. With a code, the control plane may end its run instead. */
  async release(reason: string, code?: ReleaseCode): Promise<void> {
    const spool = await this.spool();
    await spool.control({
      type: "released",
      at: instant(this.#deps.clock),
      reason: cut(reason),
      ...(code !== undefined && { code }),
    });
    await this.move("close");
  }

  /** The attempt belongs to another claim now. Its unreported records stay on the disk as a late report. */
  async #becomeLate(why: string): Promise<void> {
    this.#deps.log.warn({ attempt: this.name, journal: this.journalDir }, why);
    await this.letGo();
  }

  /** Reports nothing more of it. Its process is stopped. */
  async letGo(): Promise<void> {
    if (this.#phase !== "closing") return this.requestStop({ reason: "abandoned" });
    await this.move("abandon");
  }
}

/** The control plane rejects a record with a longer text, and such an attempt would never end. */
function cut(message: string): string {
  return message.slice(0, LIMITS.messageChars).toWellFormed();
}
