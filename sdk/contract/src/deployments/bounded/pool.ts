import { LIMITS } from "../../kernel/limits.ts";
import type { Json } from "../../kernel/names.ts";
import type { Fault } from "../../kernel/problems.ts";
import { type Checked, checkValue } from "../schema/check.ts";
import type { JsonObject } from "../schema/walk.ts";
import { compiledOf, type SchemaText, textOf } from "./schema-text.ts";
import { CheckThread } from "./thread-handle.ts";

/** Steps that one value may take in the caller's thread: about a third of a millisecond. */
const HERE_STEPS = 500;
/** Steps that all values of one request may take there. */
const HERE_STEPS_ALL = 5_000;
/** Milliseconds that all values of one request may take there: a step may cost more than it should. */
const HERE_MS = 20;
/** Values that a thread is given at once. */
const VALUES_AT_ONCE = 500;
/** The most checks of one owner that wait for a thread, and of all owners. */
const OWNER_WAITING_MAX = 50;
const WAITING_MAX = 500;
/** How long a check waits for a thread at most, milliseconds. */
const WAIT_MS = 5_000;
/** The most owners that are remembered to wait so. */
const COOLING_MAX = 10_000;

/**
 * Why there is no answer. `steps`, `depth`: schema and value together are too large. `time`, `memory`: the thread was ended.
 * `slow-machine`: ended on a busy machine; the same check may fit later. `cooling`: an earlier check of the owner was ended just now.
 * `busy-owner`: too many checks of this owner are waiting. `busy`: too many checks of all owners are waiting.
 */
export type NoAnswer =
  | "steps"
  | "depth"
  | "time"
  | "memory"
  | "slow-machine"
  | "cooling"
  | "busy-owner"
  | "busy";

/** What came of one value. */
export type Outcome = { readonly faults: readonly Fault[] } | { readonly noAnswer: NoAnswer };

/** Values to check against one schema. */
export interface CheckRequest {
  /** Who answers for schema and values: the threads are shared out among owners. */
  readonly owner: string;
  readonly schema: JsonObject;
  readonly values: readonly Json[];
  /** The same values as JSON, if that is at hand. */
  readonly texts?: readonly string[];
  /** What the paths of faults begin with. */
  readonly root: string;
}

/** @default of each: what is named in brackets */
export interface CheckPoolOptions {
  /** How many threads there are at most. (2) */
  readonly threads?: number;
  /** How long a thread may take for one value, milliseconds. (2000) */
  readonly timeMs?: number;
  /** How long one request may be checked in the caller's thread, milliseconds. (20) */
  readonly hereMs?: number;
  /** How many steps one value may take. (`LIMITS.checkSteps`) */
  readonly steps?: number;
  /** How long an owner whose check was ended gets no thread, milliseconds. (10 000) */
  readonly coolDownMs?: number;
  /** The heap of a thread, MiB. (64) */
  readonly memoryMb?: number;
}

/** Work for a thread that waits, or is under way. */
interface Job {
  readonly owner: string;
  readonly schema: SchemaText;
  readonly root: string;
  /** What is left to check. */
  values: readonly string[];
  readonly outcomes: Outcome[];
  readonly settle: { resolve(outcomes: Outcome[]): void; reject(error: unknown): void };
  timer: NodeJS.Timeout | undefined;
}

function outcomeOf(checked: Checked): Outcome {
  if (checked.givenUp === null) return { faults: checked.faults };
  // A thread may match patterns.
  return { noAnswer: checked.givenUp === "pattern" ? "time" : checked.givenUp };
}

/**
 * Checks foreign values against foreign schemas. What takes few steps is checked at once, by the caller; anything else by
 * threads with a limit of time and memory, which are shared out among owners: one has all threads but one at most, and
 * waits in a line of its own.
 */
export class CheckPool {
  readonly #hereMs: number;
  readonly #timeMs: number;
  readonly #steps: number;
  readonly #share: number;
  readonly #coolDownMs: number;
  readonly #idle: CheckThread[];
  readonly #all: readonly CheckThread[];
  /** Those that wait, by owner; the owner that is served next comes first. */
  readonly #waiting = new Map<string, Job[]>();
  #waitingCount = 0;
  readonly #running = new Map<string, number>();
  readonly #cooling = new Map<string, number>();
  #closed = false;

  constructor(options: CheckPoolOptions = {}) {
    const { threads = 2, timeMs = 2_000, steps = LIMITS.checkSteps } = options;
    const { memoryMb = 64, coolDownMs = 10_000, hereMs = HERE_MS } = options;
    this.#hereMs = hereMs;
    this.#coolDownMs = coolDownMs;
    this.#timeMs = timeMs;
    this.#steps = steps;
    this.#share = Math.max(1, threads - 1);
    this.#all = Array.from({ length: threads }, () => new CheckThread({ memoryMb }));
    this.#idle = [...this.#all];
  }

  /**
   * The outcomes of some values, in their order. Null if only a thread can check them. Steps and time bound the check. It matches
   * no patterns, so one step takes as long as the text or object that it reads.
   */
  here(args: Omit<CheckRequest, "owner">): Outcome[] | null {
    const compiled = compiledOf(args.schema);
    const outcomes: Outcome[] = [];
    // An ordinary check takes some dozens.
    const steps = Math.min(HERE_STEPS, HERE_STEPS_ALL / Math.max(1, args.values.length));
    if (steps < 10) return null;
    const endMs = performance.now() + this.#hereMs;
    const isOver = () => performance.now() >= endMs;
    for (const value of args.values) {
      const checked = checkValue(compiled, { value, root: args.root, steps, patterns: false, isOver });
      if (checked.givenUp !== null) return null;
      outcomes.push({ faults: checked.faults });
    }
    return outcomes;
  }

  /** What comes of some values, in their order. */
  async check(args: CheckRequest): Promise<Outcome[]> {
    return this.here(args) ?? (await this.inThreads(args));
  }

  /** Ends all threads; what waits gets no answer. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of [...this.#waiting.values()].flat()) this.#giveUp(job);
    await Promise.all(this.#all.map((thread) => thread.end()));
  }

  /** What comes of some values, in their order, told by threads. */
  async inThreads(args: CheckRequest): Promise<Outcome[]> {
    const schema = textOf(args.schema);
    const texts = args.texts ?? args.values.map((value) => JSON.stringify(value));
    const outcomes: Outcome[] = [];
    for (let from = 0; from < texts.length; from += VALUES_AT_ONCE) {
      const values = texts.slice(from, from + VALUES_AT_ONCE);
      const refused = this.#refusal(args.owner);
      if (refused === null) outcomes.push(...(await this.#enter({ ...args, schema, values })));
      else outcomes.push(...values.map(() => ({ noAnswer: refused })));
    }
    return outcomes;
  }

  #refusal(owner: string): NoAnswer | null {
    if (this.#closed) return "busy";
    const untilMs = this.#cooling.get(owner);
    if (untilMs !== undefined && performance.now() < untilMs) return "cooling";
    this.#cooling.delete(owner);
    if ((this.#waiting.get(owner)?.length ?? 0) >= OWNER_WAITING_MAX) return "busy-owner";
    return this.#waitingCount >= WAITING_MAX ? "busy" : null;
  }

  #enter(args: Pick<Job, "owner" | "schema" | "root" | "values">): Promise<Outcome[]> {
    const { owner, schema, root, values } = args;
    return new Promise((resolve, reject) => {
      const settle = { resolve, reject };
      this.#wait({ owner, schema, root, values, outcomes: [], settle, timer: undefined });
    });
  }

  #wait(job: Job): void {
    const line = this.#waiting.get(job.owner) ?? [];
    line.push(job);
    this.#waiting.set(job.owner, line);
    this.#waitingCount += 1;
    job.timer = setTimeout(() => this.#giveUp(job), WAIT_MS);
    this.#next();
  }

  #giveUp(job: Job): void {
    const line = this.#waiting.get(job.owner) ?? [];
    const index = line.indexOf(job);
    if (index < 0) return;
    this.#takeFrom(job.owner, { line, index });
    finish(job, "busy");
  }

  #takeFrom(owner: string, args: { line: Job[]; index: number }): Job | undefined {
    const [job] = args.line.splice(args.index, 1);
    this.#waitingCount -= 1;
    this.#waiting.delete(owner);
    // To the end: the other owners come first now.
    if (args.line.length > 0) this.#waiting.set(owner, args.line);
    clearTimeout(job?.timer);
    return job;
  }

  /** Gives idle threads to those that wait, an owner after the other. */
  #next(): void {
    for (const [owner, line] of [...this.#waiting]) {
      const thread = this.#idle.at(-1);
      if (thread === undefined) return;
      if ((this.#running.get(owner) ?? 0) >= this.#share) continue;
      const job = this.#takeFrom(owner, { line, index: 0 });
      if (job === undefined) continue;
      this.#idle.pop();
      void this.#run(thread, job);
    }
  }

  async #run(thread: CheckThread, job: Job): Promise<void> {
    const { owner, schema, values, root } = job;
    this.#running.set(owner, (this.#running.get(owner) ?? 0) + 1);
    const before = process.cpuUsage();
    try {
      const batch = { schema, values, root, steps: this.#steps, timeMs: this.#timeMs };
      const answered = await thread.check(batch);
      if (typeof answered === "string") {
        // The same check may fit another time if the machine was busy with something else.
        const { user, system } = process.cpuUsage(before);
        const isSlow = answered === "time" && (user + system) / 1_000 < this.#timeMs / 2;
        if (!isSlow) this.#cool(owner);
        finish(job, isSlow ? "slow-machine" : answered);
      } else {
        job.outcomes.push(...answered.checked.map(outcomeOf));
        job.values = values.slice(answered.checked.length);
      }
    } catch (error) {
      job.values = [];
      if (this.#closed) finish(job, "busy");
      else job.settle.reject(error);
    } finally {
      this.#leave(owner);
      this.#idle.push(thread);
    }
    if (job.values.length > 0 && !this.#closed) this.#wait(job);
    else job.settle.resolve(job.outcomes);
    this.#next();
  }

  #leave(owner: string): void {
    const left = (this.#running.get(owner) ?? 1) - 1;
    if (left > 0) this.#running.set(owner, left);
    else this.#running.delete(owner);
  }

  #cool(owner: string): void {
    if (this.#cooling.size >= COOLING_MAX) this.#cooling.clear();
    this.#cooling.set(owner, performance.now() + this.#coolDownMs);
  }
}

/** Ends a job whose remaining values get no answer. */
function finish(job: Job, noAnswer: NoAnswer): void {
  job.outcomes.push(...job.values.map((): Outcome => ({ noAnswer })));
  job.values = [];
  job.settle.resolve(job.outcomes);
}
