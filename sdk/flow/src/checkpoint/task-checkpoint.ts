import { createHash } from "node:crypto";
import type { Ref } from "@towpath/contract";
import type { Scope } from "../engine/scope.ts";
import { TaskIdentityUnknown } from "../problem.ts";
import type { TaskOptions } from "../task/options.ts";
import type { ResultFacts, Reused, ThrownEarlier } from "./checkpoints.ts";

/** A call of a task, as far as its checkpoint is concerned. */
export interface CheckpointedCall {
  readonly options: TaskOptions;
  readonly path: string;
  readonly scope: Scope;
  /** The function as it was written, where it is not the one that is called. */
  readonly source?: (...args: never[]) => unknown;
  readonly fn: () => unknown;
  /** Hash of the arguments, where the path does not hold it. */
  readonly inputHash?: () => string;
}

/** What records say about the code and input of a call. */
export type ReportedFacts = { readonly codeVersion?: string; readonly inputHash?: string };

const VERSION_CHARS = 16;
const texts = new WeakMap<object, string>();

/** A hash of a function's own text: all that is known of its code where no deployment has looked at it. */
function textVersion(fn: (...args: never[]) => unknown): string {
  const known = texts.get(fn);
  if (known !== undefined) return known;
  const made = createHash("sha256").update(String(fn)).digest("hex").slice(0, VERSION_CHARS);
  texts.set(fn, made);
  return made;
}

/** Arguments that cannot be hashed, in a call that has a key, cannot be compared: that is no fault of the call. */
function inputOf(call: CheckpointedCall): string | null | undefined {
  if (call.inputHash === undefined) return undefined;
  try {
    return call.inputHash();
  } catch (error) {
    if (error instanceof TaskIdentityUnknown) return null;
    throw error;
  }
}

/** The version of the code of the task that is called. */
export function codeVersionOf(call: CheckpointedCall): string {
  return call.scope.run.checkpoints.codeVersionOf({
    name: call.options.name,
    version: call.options.version,
    text: () => textVersion(call.source ?? call.fn),
  });
}

/** The checkpoint of one call: what it may take over, and what it leaves. */
export class TaskCheckpoint {
  readonly #call: CheckpointedCall;
  readonly #facts: ResultFacts | null;

  constructor(call: CheckpointedCall) {
    this.#call = call;
    const isOn = call.options.checkpoint ?? call.scope.run.checkpoints.byDefault;
    this.#facts = isOn ? { codeVersion: codeVersionOf(call), inputHash: inputOf(call) } : null;
  }

  /** What the record of the call's end says about it. */
  get facts(): ReportedFacts {
    if (this.#facts === null) return {};
    const { codeVersion, inputHash } = this.#facts;
    return typeof inputHash === "string" ? { codeVersion, inputHash } : { codeVersion };
  }

  /** The result of an earlier attempt, if there is one that still holds. */
  async earlier(): Promise<Reused | null> {
    if (this.#facts === null) return null;
    return await this.#call.scope.run.checkpoints.reuse(this.#call.path, this.#facts);
  }

  /** What the call threw in an earlier attempt, if that is to be thrown again. */
  earlierFailure(): ThrownEarlier | null {
    if (this.#facts === null) return null;
    return this.#call.scope.run.checkpoints.failure(this.#call.path, this.#facts);
  }

  /**
   * Keeps the call's result.
   * @throws NotSerialisable | StoreFault where the task says `checkpoint: true`; else a failure is a warning.
   */
  async keep(result: unknown): Promise<{ result?: Ref }> {
    if (this.#facts === null) return {};
    const { path, options, scope } = this.#call;
    const required = options.checkpoint === true;
    const ref = await scope.run.checkpoints.keep(result, { path, task: options.name, required });
    return ref === null ? {} : { result: ref };
  }
}
