import type { Ref, RunError } from "@towpath/contract";
import { instant } from "../clock.ts";
import { durationText } from "../console/style.ts";
import { describeError } from "../engine/describe-error.ts";
import type { Host } from "../engine/host.ts";
import { NotSerialisable, StoreFault } from "../problem.ts";
import { type Encoded, encodeInSteps } from "../store/store.ts";
import type { DataTimer } from "../task/data-timer.ts";
import { type EarlierFacts, EarlierResults } from "./earlier.ts";
import { ReadAhead } from "./read-ahead.ts";
import { CheckpointWriter } from "./writer.ts";

/** The code version and input hash of a result. A later attempt compares them. */
export interface ResultFacts {
  readonly codeVersion: string;
  /** Undefined: the call's path identifies its input. Null: its input cannot be compared. */
  readonly inputHash: string | null | undefined;
}

/** A valid result of an earlier call. */
export interface Reused {
  readonly value: unknown;
  readonly ref: Ref;
  /** Whether this run has already recorded it unchanged. */
  readonly isRecorded: boolean;
}

/** The error of an earlier call, to be thrown again. */
export interface ThrownEarlier {
  readonly error: RunError;
  /** Whether this run has already recorded it unchanged. */
  readonly isRecorded: boolean;
}

/** The results that a run stores, and those of earlier attempts that it may reuse. */
export class Checkpoints {
  readonly #host: Host;
  readonly #writer: CheckpointWriter;
  readonly #large = new Set<string>();
  readonly #warned = new Set<string>();
  #synced: Promise<void> = Promise.resolve();
  /** Whether tasks store their results by default. */
  readonly byDefault: boolean;
  earlier: EarlierResults = new EarlierResults();
  #ahead: ReadAhead | null = null;

  constructor(host: Host, flow: { readonly checkpoint?: boolean | undefined }) {
    this.#host = host;
    this.#writer = new CheckpointWriter(host.store);
    this.byDefault = flow.checkpoint ?? host.resume.keeps;
  }

  /** Fetches the results of earlier attempts. */
  async open(): Promise<void> {
    this.earlier = await EarlierResults.fetch(this.#host.resume.earlier);
  }

  /** The version of a task's code. */
  codeVersionOf(task: { name: string; version: string | undefined; text: () => string }): string {
    const { codeVersions, code } = this.#host.resume;
    if (task.version !== undefined) return task.version;
    if (Object.hasOwn(codeVersions, task.name)) return codeVersions[task.name] ?? "";
    return code ?? task.text();
  }

  /** The result of an earlier call at this path, if it is valid and can be loaded. */
  async reuse(path: string, call: { facts: ResultFacts; data: DataTimer }): Promise<Reused | null> {
    const found = this.earlier.takeResult(path);
    if (found === null || !holds(found, call.facts)) return null;
    const { ref } = found;
    try {
      const isRecorded = this.#isRecorded(found);
      this.#ahead ??= new ReadAhead(this.earlier.left(), (one) => this.#host.store.load(one));
      const ahead = this.#ahead;
      return { value: await call.data.loading(ref, () => ahead.take(path, ref)), ref, isRecorded };
    } catch (error) {
      if (!(error instanceof StoreFault)) throw error;
      this.#warn(
        path,
        `The result of an earlier attempt cannot be loaded, so the task runs again: ${error.message}`,
      );
      return null;
    }
  }

  /** The error of an earlier call at this path, if it must be thrown again. */
  failure(path: string, facts: ResultFacts): ThrownEarlier | null {
    const found = this.earlier.takeFailure(path);
    if (found === null || !holds(found, facts)) return null;
    return { error: found.error, isRecorded: this.#isRecorded(found) };
  }

  #isRecorded({ own }: EarlierFacts): boolean {
    return own && this.#host.resume.knowsEarlier === true;
  }

  /**
   * Stores a result. It survives the end of this process at once, and a crash of the machine after the next sync.
   * @param place.required If true, a failure is an error; else it is one warning per task.
   * @returns null if it was not stored.
   * @throws NotSerialisable | StoreFault if it is required.
   */
  async keep(
    value: unknown,
    place: { readonly path: string; readonly task: string; readonly required: boolean },
  ): Promise<Ref | null> {
    try {
      const { clock } = this.#host;
      const begunMs = clock.monotonicMs();
      const ref = await this.#writer.keep(await this.#encoded(value, { path: place.path, name: "result" }));
      this.#warnIfLarge(ref, { ...place, tookMs: clock.monotonicMs() - begunMs });
      if (place.required) await this.#host.store.sync();
      else this.#syncMeanwhile(place);
      return ref;
    } catch (error) {
      if (place.required || !isUnkept(error)) throw error;
      if (this.#warned.has(place.task)) return null;
      this.#warned.add(place.task);
      this.#warn(place.path, notKept(place.task, error));
      return null;
    }
  }

  /** Stores a named value. @throws NotSerialisable | StoreFault */
  async keepValue(value: unknown, place: { path: string; name: string }): Promise<Ref> {
    const ref = await this.#writer.keep(await this.#encoded(value, place));
    await this.#host.store.sync();
    return ref;
  }

  /** Resolves once all stored results survive a crash of the machine, or the log warns that they may not. */
  async untilSynced(): Promise<void> {
    await this.#synced;
  }

  /** Syncs while the completion is reported. The completion counts only once it is acknowledged and the sync is done. */
  #syncMeanwhile({ path, task }: { readonly path: string; readonly task: string }): void {
    this.#synced = this.#host.store.sync().catch((error: unknown) => {
      if (this.#warned.has(task)) return;
      this.#warned.add(task);
      this.#warn(path, notKept(task, error));
    });
  }

  #encoded(value: unknown, { path, name }: { path: string; name: string }): Promise<Encoded> {
    const { runId, attempt } = this.#host.facts;
    return encodeInSteps({ runId, attempt, task: path, name }, value, "exact");
  }

  /** Once per task. */
  #warnIfLarge(ref: Ref, { path, task, tookMs }: { path: string; task: string; tookMs: number }): void {
    const large = largeValueText({ what: `The result of task "${task}"`, sizeBytes: ref.sizeBytes, tookMs });
    if (large === null || this.#large.has(task)) return;
    this.#large.add(task);
    this.#warn(path, large);
  }

  #warn(path: string, text: string): void {
    const { records, clock } = this.#host;
    records.postLog({ type: "log", at: instant(clock), level: "warn", text, task: path });
  }
}

/** From this size, a stored value gets a warning. */
const LARGE_BYTES = 50_000_000;

/** The warning about a large value; null if it is not large. */
export function largeValueText(saved: { what: string; sizeBytes: number; tookMs: number }): string | null {
  if (saved.sizeBytes < LARGE_BYTES) return null;
  const size = `${Math.round(saved.sizeBytes / 1_000_000)} MB`;
  return `${saved.what} has ${size}. Saving it took ${durationText(saved.tookMs)}, and each attempt that reuses it loads all of it. Write it to a file or a table, and return its address instead.`;
}

function holds(found: EarlierFacts, facts: ResultFacts): boolean {
  return found.codeVersion === facts.codeVersion && isSameInput(found, facts);
}

function isSameInput(found: EarlierFacts, facts: ResultFacts): boolean {
  // In one run, a path stands for one call. In another run, the same key may have another input.
  if (facts.inputHash === null) return found.own && found.inputHash === null;
  return (facts.inputHash ?? null) === found.inputHash;
}

/** A RangeError means text or bytes that exceed the engine's limit for one value. */
function isUnkept(error: unknown): boolean {
  return error instanceof NotSerialisable || error instanceof StoreFault || error instanceof RangeError;
}

function notKept(task: string, error: unknown): string {
  const { message } = describeError(error);
  return `The result of task "${task}" is not stored, so a later attempt runs it again: ${message} If this is intended, set checkpoint: false.`;
}
