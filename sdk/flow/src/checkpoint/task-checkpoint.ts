import { createHash } from "node:crypto";
import type { Ref } from "@towpath/contract";
import type { Scope } from "../engine/scope.ts";
import { TaskIdentityUnknown } from "../problem.ts";
import type { DataTimer } from "../task/data-timer.ts";
import type { TaskOptions } from "../task/options.ts";
import type { ResultFacts, Reused, ThrownEarlier } from "./checkpoints.ts";

/** A task call with the facts that its checkpoint needs. */
export interface CheckpointedCall {
  readonly options: TaskOptions;
  readonly path: string;
  readonly scope: Scope;
  readonly data: DataTimer;
  /** The author's function, if another one is called. */
  readonly source?: (...args: never[]) => unknown;
  readonly fn: () => unknown;
  /** Hash of the arguments, if the path does not contain it. */
  readonly inputHash?: () => string;
}

/** The code version and input hash of a call, as records carry them. */
export type ReportedFacts = { readonly codeVersion?: string; readonly inputHash?: string };

const VERSION_CHARS = 16;
const texts = new WeakMap<object, string>();

/** A hash of the function's text: the code version without a deployment. */
function textVersion(fn: (...args: never[]) => unknown): string {
  const known = texts.get(fn);
  if (known !== undefined) return known;
  const made = createHash("sha256").update(String(fn)).digest("hex").slice(0, VERSION_CHARS);
  texts.set(fn, made);
  return made;
}

/** Arguments that cannot be hashed cannot be compared. With a key, this is no error. */
function inputOf(call: CheckpointedCall): string | null | undefined {
  if (call.inputHash === undefined) return undefined;
  try {
    return call.inputHash();
  } catch (error) {
    if (error instanceof TaskIdentityUnknown) return null;
    throw error;
  }
}

/** The code version of the called task. */
export function codeVersionOf(call: CheckpointedCall): string {
  return call.scope.run.checkpoints.codeVersionOf({
    name: call.options.name,
    version: call.options.version,
    text: () => textVersion(call.source ?? call.fn),
  });
}

/** The checkpoint of one call: the result that it may reuse, and the result that it stores. */
export class TaskCheckpoint {
  readonly #call: CheckpointedCall;
  readonly #facts: ResultFacts | null;

  constructor(call: CheckpointedCall) {
    this.#call = call;
    const isOn = call.options.checkpoint ?? call.scope.run.checkpoints.byDefault;
    this.#facts = isOn ? { codeVersion: codeVersionOf(call), inputHash: inputOf(call) } : null;
  }

  /** The facts for the record of the call's end. */
  get facts(): ReportedFacts {
    if (this.#facts === null) return {};
    const { codeVersion, inputHash } = this.#facts;
    return typeof inputHash === "string" ? { codeVersion, inputHash } : { codeVersion };
  }

  /** The valid result of an earlier attempt, or null. */
  async earlier(): Promise<Reused | null> {
    if (this.#facts === null) return null;
    const { path, scope, data } = this.#call;
    return await scope.run.checkpoints.reuse(path, { facts: this.#facts, data });
  }

  /** The error of the call in an earlier attempt, if it must be thrown again. */
  earlierFailure(): ThrownEarlier | null {
    if (this.#facts === null) return null;
    return this.#call.scope.run.checkpoints.failure(this.#call.path, this.#facts);
  }

  /**
   * Stores the call's result.
   * @throws NotSerialisable | StoreFault if the task says `checkpoint: true`; else a failure is a warning.
   */
  async keep(result: unknown): Promise<{ result?: Ref }> {
    if (this.#facts === null) return {};
    const { path, options, scope, data } = this.#call;
    const place = { path, task: options.name, required: options.checkpoint === true };
    const ref = await data.saving(() => scope.run.checkpoints.keep(result, place));
    return ref === null ? {} : { result: ref };
  }
}
