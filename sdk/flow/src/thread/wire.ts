import type { MessagePort } from "node:worker_threads";
import { errorChain } from "../engine/describe-error.ts";
import { Cancelled, NonRetryable } from "../problem.ts";

/** An error between threads, followed by its causes. Classes and their fields are lost. */
export type WireError = readonly {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly isError: boolean;
}[];

/** Messages to a task's thread. */
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
      /** The keys of the run's hashes. */
      readonly hashKeys: readonly string[];
    }
  | { readonly kind: "abort"; readonly id: number; readonly reason: WireError }
  | { readonly kind: "answer"; readonly ask: number; readonly value?: unknown; readonly error?: WireError };

/** Calls that the run does for a thread. */
export const HOST_VERBS = ["post", "postHeld", "save", "load", "keep", "kept"] as const;
/** One of them. */
export type HostVerb = (typeof HOST_VERBS)[number];

/** Values that a thread blocks for. */
export type AskedNow = "secret" | "resource";

/** The answer to that. */
export type ToldNow = { readonly value: unknown } | { readonly error: WireError };

/** The streams that a thread prints to. */
export const PRINT_STREAMS = ["stdout", "stderr"] as const;
/** One of them. */
export type PrintStream = (typeof PRINT_STREAMS)[number];

/** Messages from a task's thread. */
export type FromThread =
  | { readonly kind: "log"; readonly record: unknown }
  | {
      readonly kind: "printed";
      readonly stream: PrintStream;
      readonly chunk: string | Uint8Array;
      readonly encoding: BufferEncoding;
    }
  | { readonly kind: "ask"; readonly ask: number; readonly what: HostVerb; readonly args: readonly unknown[] }
  | {
      readonly kind: "ask-now";
      readonly what: AskedNow;
      readonly name: string;
      /** The thread blocks on it until the answer was sent. */
      readonly flag: Int32Array<SharedArrayBuffer>;
      readonly port: MessagePort;
    }
  | { readonly kind: "done"; readonly id: number; readonly value: unknown }
  | { readonly kind: "failed"; readonly id: number; readonly error: WireError };

/** An error whose class this thread does not know. It keeps its name and stack. */
export class FromOtherThread extends Error {
  override readonly name: string;
  constructor(name: string, message: string, options: ErrorOptions) {
    super(message, options);
    this.name = name;
  }
}

type Make = (message: string, options: { cause?: unknown }) => Error;
/** Classes that all threads know. */
const SHARED: Readonly<Record<string, Make>> = {
  Error: (message, options) => new Error(message, options),
  TypeError: (message, options) => new TypeError(message, options),
  RangeError: (message, options) => new RangeError(message, options),
  SyntaxError: (message, options) => new SyntaxError(message, options),
  ReferenceError: (message, options) => new ReferenceError(message, options),
  NonRetryable: (message, options) => new NonRetryable(message, options),
  Cancelled: (message) => new Cancelled(message),
};

/** Converts an error for another thread. */
export function toWireError(thrown: unknown): WireError {
  return errorChain(thrown).map((one) =>
    one instanceof Error
      ? { name: one.name, message: one.message, stack: one.stack, isError: true }
      : { name: "", message: String(one), stack: undefined, isError: false },
  );
}

/** An error from another thread, with its causes. Built-in classes and `NonRetryable` are restored. */
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
