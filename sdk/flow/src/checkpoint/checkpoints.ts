import type { Ref, RunError } from "@towpath/contract";
import { instant } from "../clock.ts";
import { describeError } from "../engine/describe-error.ts";
import type { Host } from "../engine/host.ts";
import { NotSerialisable, StoreFault } from "../problem.ts";
import { exactCodec } from "../store/codec.ts";
import { type Encoded, encodeAt } from "../store/store.ts";
import { type EarlierFacts, EarlierResults } from "./earlier.ts";
import { ReadAhead } from "./read-ahead.ts";
import { CheckpointWriter } from "./writer.ts";

/** What a result is kept with: by these a later attempt knows whether it still holds. */
export interface ResultFacts {
  readonly codeVersion: string;
  /** Undefined: the call's path says all about its input. Null: its input cannot be compared. */
  readonly inputHash: string | null | undefined;
}

/** A result of an earlier call that still holds. */
export interface Reused {
  readonly value: unknown;
  readonly ref: Ref;
  /** Whether this run has told it before, just as it is. */
  readonly isTold: boolean;
}

/** What an earlier call threw, which stands. */
export interface ThrownEarlier {
  readonly error: RunError;
  /** Whether this run has told it before, just as it is. */
  readonly isTold: boolean;
}

/** The results that a run keeps, and those it may go on from. */
export class Checkpoints {
  readonly #host: Host;
  readonly #writer: CheckpointWriter;
  readonly #warned = new Set<string>();
  #synced: Promise<void> = Promise.resolve();
  /** Whether tasks that do not say so keep their results. */
  readonly byDefault: boolean;
  earlier: EarlierResults = new EarlierResults();
  #ahead: ReadAhead | null = null;

  constructor(host: Host, flow: { readonly checkpoint?: boolean | undefined }) {
    this.#host = host;
    this.#writer = new CheckpointWriter(host.store);
    this.byDefault = flow.checkpoint ?? host.resume.keeps;
  }

  /** Learns what there is to go on from. */
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

  /** The result of an earlier call at this path, if it holds and can be loaded. */
  async reuse(path: string, facts: ResultFacts): Promise<Reused | null> {
    const found = this.earlier.takeResult(path);
    if (found === null || !holds(found, facts)) return null;
    try {
      const isTold = this.#isTold(found);
      this.#ahead ??= new ReadAhead(this.earlier.left(), (ref) => this.#host.store.load(ref));
      return { value: await this.#ahead.take(path, found.ref), ref: found.ref, isTold };
    } catch (error) {
      if (!(error instanceof StoreFault)) throw error;
      this.#warn(
        path,
        `The result that an earlier attempt kept cannot be loaded, so the task runs again: ${error.message}`,
      );
      return null;
    }
  }

  /** What an earlier call at this path threw, if that holds and is to be thrown again. */
  failure(path: string, facts: ResultFacts): ThrownEarlier | null {
    const found = this.earlier.takeFailure(path);
    if (found === null || !holds(found, facts)) return null;
    return { error: found.error, isTold: this.#isTold(found) };
  }

  #isTold({ own }: EarlierFacts): boolean {
    return own && this.#host.resume.knowsEarlier === true;
  }

  /**
   * Keeps a result: it survives this process at once, and soon a crash of the machine.
   * @param place.required Failing to keep it is an error; else it is a warning, told once for each task.
   * @returns null if it was not kept.
   * @throws NotSerialisable | StoreFault if it is required.
   */
  async keep(
    value: unknown,
    place: { readonly path: string; readonly task: string; readonly required: boolean },
  ): Promise<Ref | null> {
    try {
      const ref = await this.#writer.keep(this.#encoded(value, { path: place.path, name: "result" }));
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

  /** Keeps a value under a name of its own. @throws NotSerialisable | StoreFault */
  async keepValue(value: unknown, place: { path: string; name: string }): Promise<Ref> {
    const ref = await this.#writer.keep(this.#encoded(value, place));
    await this.#host.store.sync();
    return ref;
  }

  /** Resolves once all results that were kept before survive a crash of the machine, or the log says that they may not. */
  async untilSynced(): Promise<void> {
    await this.#synced;
  }

  /** The call's completion is told meanwhile: until it is acknowledged, and this is done, nobody was promised more. */
  #syncMeanwhile({ path, task }: { readonly path: string; readonly task: string }): void {
    this.#synced = this.#host.store.sync().catch((error: unknown) => {
      if (this.#warned.has(task)) return;
      this.#warned.add(task);
      this.#warn(path, notKept(task, error));
    });
  }

  #encoded(value: unknown, { path, name }: { path: string; name: string }): Encoded {
    const { runId, attempt } = this.#host.facts;
    return encodeAt({ runId, attempt, task: path, name }, value, exactCodec(value));
  }

  #warn(path: string, text: string): void {
    const { records, clock } = this.#host;
    records.postLog({ type: "log", at: instant(clock), level: "warn", text, task: path });
  }
}

function holds(found: EarlierFacts, facts: ResultFacts): boolean {
  return found.codeVersion === facts.codeVersion && isSameInput(found, facts);
}

function isSameInput(found: EarlierFacts, facts: ResultFacts): boolean {
  // In one run a path stands for one call; in another run the same key may have been given to another input.
  if (facts.inputHash === null) return found.own && found.inputHash === null;
  return (facts.inputHash ?? null) === found.inputHash;
}

/** Besides our own errors: text or bytes that are too large for one value of the engine. */
function isUnkept(error: unknown): boolean {
  return error instanceof NotSerialisable || error instanceof StoreFault || error instanceof RangeError;
}

function notKept(task: string, error: unknown): string {
  const { message } = describeError(error);
  return `The result of task "${task}" is not kept, so a later attempt runs it again: ${message} If that is meant, give it checkpoint: false.`;
}
