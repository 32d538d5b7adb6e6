import type { MessagePort } from "node:worker_threads";
import { errorChain } from "../engine/describe-error.ts";
import { Cancelled, NonRetryable } from "../problem.ts";

/** An error between threads, its causes after it: neither classes nor their fields survive the way. */
export type WireError = readonly {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly isError: boolean;
}[];

/** What a task's thread is told. */
export type ToThread =
  | {
      readonly kind: "run";
      readonly id: number;
      /** URL of the module that declares the task. */
      readonly module: string;
      readonly task: string;
      readonly args: readonly unknown[];
      readonly path: string;
      readonly flow: string;
      readonly facts: object;
    }
  | { readonly kind: "abort"; readonly id: number; readonly reason: WireError }
  | { readonly kind: "answer"; readonly ask: number; readonly value?: unknown; readonly error?: WireError };

/** What a thread may have the run do for it. */
export const HOST_VERBS = ["post", "postHeld", "save", "load", "keep", "kept"] as const;
/** One of them. */
export type HostVerb = (typeof HOST_VERBS)[number];

/** What a thread needs to know at once, while it stands still. */
export type AskedNow = "secret" | "resource";

/** The answer to that. */
export type ToldNow = { readonly value: unknown } | { readonly error: WireError };

/** What a task's thread tells. */
export type FromThread =
  | { readonly kind: "log"; readonly record: unknown }
  | { readonly kind: "ask"; readonly ask: number; readonly what: HostVerb; readonly args: readonly unknown[] }
  | {
      readonly kind: "ask-now";
      readonly what: AskedNow;
      readonly name: string;
      /** Set, and waited for, once the answer is on its way. */
      readonly flag: Int32Array<SharedArrayBuffer>;
      readonly port: MessagePort;
    }
  | { readonly kind: "done"; readonly id: number; readonly value: unknown }
  | { readonly kind: "failed"; readonly id: number; readonly error: WireError };

/** An error of a class that the other thread does not share. Its name and stack are those it had there. */
export class FromOtherThread extends Error {
  override readonly name: string;
  constructor(name: string, message: string, options: ErrorOptions) {
    super(message, options);
    this.name = name;
  }
}

type Make = (message: string, options: { cause?: unknown }) => Error;
/** Classes that are the same everywhere. */
const SHARED: Readonly<Record<string, Make>> = {
  Error: (message, options) => new Error(message, options),
  TypeError: (message, options) => new TypeError(message, options),
  RangeError: (message, options) => new RangeError(message, options),
  SyntaxError: (message, options) => new SyntaxError(message, options),
  ReferenceError: (message, options) => new ReferenceError(message, options),
  NonRetryable: (message, options) => new NonRetryable(message, options),
  Cancelled: (message) => new Cancelled(message),
};

/** Makes an error fit for the other thread. */
export function toWireError(thrown: unknown): WireError {
  return errorChain(thrown).map((one) =>
    one instanceof Error
      ? { name: one.name, message: one.message, stack: one.stack, isError: true }
      : { name: "", message: String(one), stack: undefined, isError: false },
  );
}

/** The error that another thread has told, its causes in it. Built-in classes and `NonRetryable` are of their class again. */
export function fromWireError(wire: WireError): unknown {
  let built: unknown;
  for (const { name, message, stack, isError } of wire.toReversed()) {
    if (!isError) {
      built = message;
      continue;
    }
    const options = built === undefined ? {} : { cause: built };
    const make = Object.hasOwn(SHARED, name) ? SHARED[name] : undefined;
    const error = make ? make(message, options) : new FromOtherThread(name, message, options);
    if (stack !== undefined) error.stack = stack;
    built = error;
  }
  return built;
}
