import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { Checkpoints } from "../checkpoint/checkpoints.ts";
import { systemClock } from "../clock.ts";
import { Hearing, type Host, type RunFacts } from "../engine/host.ts";
import { type ActiveRun, activeRun, inScope, type Scope } from "../engine/scope.ts";
import { log } from "../logs/log.ts";
import { NotInThread } from "../problem.ts";
import { hashesOf } from "../store/hashes.ts";
import { CallLedger } from "../task/identity.ts";
import {
  type AskedNow,
  type FromThread,
  fromWireError,
  type HostVerb,
  PRINT_STREAMS,
  type ToldNow,
  type ToThread,
  toWireError,
} from "./wire.ts";

type AnyFunction = (...args: never[]) => unknown;

/** How long a thread blocks for an answer of the run's own thread, milliseconds. */
const ASK_NOW_MS = 10_000;
type RunMessage = Extract<ToThread, { kind: "run" }>;

/** Refuses task calls, which only the run's own thread can make. */
class NoCalls extends CallLedger {
  override name(name: string): never {
    throw new NotInThread(`"${name}" was called`);
  }
}

function refuse(what: string): () => never {
  return () => {
    throw new NotInThread(what);
  };
}

/** This thread's side of its connection to the run. */
class Port {
  readonly #port: MessagePort;
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  #asks = 0;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  tell(message: FromThread): void {
    this.#port.postMessage(message);
  }

  /** Asks the run to do something, and waits for the result. */
  ask(what: HostVerb, args: readonly unknown[]): Promise<unknown> {
    const ask = ++this.#asks;
    const answer = Promise.withResolvers<unknown>();
    this.#asked.set(ask, answer);
    this.tell({ kind: "ask", ask, what, args });
    return answer.promise;
  }

  /** Asks the run and blocks this thread, for calls that cannot be awaited. */
  askNow(what: AskedNow, name: string): unknown {
    const flag = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const { port1, port2 } = new MessageChannel();
    try {
      this.#port.postMessage({ kind: "ask-now", what, name, flag, port: port2 } satisfies FromThread, [
        port2,
      ]);
      Atomics.wait(flag, 0, 0, ASK_NOW_MS);
      const told: ToldNow | undefined = receiveMessageOnPort(port1)?.message;
      if (told === undefined) throw new NotInThread(`The run did not return its ${what} "${name}"`);
      if ("error" in told) throw fromWireError(told.error);
      return told.value;
    } finally {
      port1.close();
    }
  }

  answered({ ask, value, error }: Extract<ToThread, { kind: "answer" }>): void {
    const answer = this.#asked.get(ask);
    this.#asked.delete(ask);
    if (error === undefined) answer?.resolve(value);
    else answer?.reject(fromWireError(error));
  }
}

/** The host in a thread. It sends records through the port, and does not offer everything. */
function threadHost(port: Port, message: RunMessage, cancelled: AbortSignal): Host {
  const facts = message.facts as RunFacts;
  const post = async (record: unknown) => void (await port.ask("post", [record]));
  const held = async (record: unknown) => void (await port.ask("postHeld", [record]));
  return {
    facts,
    parameters: null,
    records: {
      post,
      postHeld: held,
      postStored: held,
      postLog: (record) => port.tell({ kind: "log", record }),
    },
    store: {
      hashes: hashesOf(message.hashKeys),
      save: async (place, value, codec) => (await port.ask("save", [place, value, codec])) as never,
      load: (ref) => port.ask("load", [ref]),
      has: refuse("A task was called"),
      saveTogether: refuse("A task was called"),
      sync: refuse("A task was called"),
      saveAs: refuse("A task was called"),
      find: refuse("A task was called"),
    },
    resume: { origin: facts.runId, codeVersions: {}, code: null, earlier: null, keeps: false },
    clock: systemClock,
    random: Math.random,
    secret: (name) => port.askNow("secret", name) as ReturnType<Host["secret"]>,
    resource: (name) => port.askNow("resource", name) as ReturnType<Host["resource"]>,
    call: refuse("The control plane was called"),
    waits: { heard: new Hearing(), suspends: false, ask: refuse("Something was waited for") },
    poolOf: null,
    task: null,
    watchdog: null,
    cancelled,
  };
}

function runOf(port: Port, message: RunMessage, signal: AbortSignal): ActiveRun {
  const host = threadHost(port, message, signal);
  const checkpoints = new Checkpoints(host, { checkpoint: false });
  const ended = new AbortController().signal;
  const progress = {
    keep: async (name: string, value: unknown) => void (await port.ask("keep", [name, value])),
    kept: (name: string) => port.ask("kept", [name]),
  };
  return { ...activeRun({ flow: message.flow, host, checkpoints, signal, ended }), progress };
}

/** Calls a function, then sends its last progress and closes the resources that it opened, which belong to this call. */
async function callThenClose(scope: Scope, fn: () => Promise<unknown>): Promise<unknown> {
  return await inScope(scope, async () => {
    try {
      return await fn();
    } finally {
      await Promise.allSettled(scope.run.open.values());
      await scope.run.endings.run(log.warn);
    }
  });
}

async function runHere(
  port: Port,
  message: RunMessage,
  options: { fn: AnyFunction | null; scope: Scope },
): Promise<void> {
  const { id, args } = message;
  try {
    if (options.fn === null)
      throw new NotInThread("A task was called that is not declared at the top of its module", {
        next: "Move its declaration there: a thread imports the module to find it.",
      });
    const { fn } = options;
    port.tell({
      kind: "done",
      id,
      value: await callThenClose(options.scope, async () => await fn(...(args as never[]))),
    });
  } catch (error) {
    port.tell({ kind: "failed", id, error: toWireError(error) });
  }
}

/**
 * Sends what this thread prints through the port of its log lines, so that both keep their order. Node would send it
 * through another port, some time later.
 */
function printThrough(port: Port): void {
  for (const stream of PRINT_STREAMS)
    process[stream]._write = (chunk: string | Uint8Array, encoding, callback) => {
      port.tell({ kind: "printed", stream, chunk, encoding });
      callback();
    };
}

/** Serves a thread's port, beginning with its first message. It receives one task at a time. */
export function serve(
  messages: MessagePort,
  first: ToThread,
  functionOf: (id: string) => AnyFunction | null,
): void {
  const port = new Port(messages);
  printThrough(port);
  let running: { readonly id: number; readonly abort: (reason: unknown) => void } | null = null;
  const take = (message: ToThread) => {
    if (message.kind === "answer") port.answered(message);
    else if (message.kind === "abort") {
      if (running?.id === message.id) running.abort(fromWireError(message.reason));
    } else {
      const { id, path, module, task } = message;
      const own = new AbortController();
      const { signal } = own;
      const scope = { run: runOf(port, message, signal), path, signal, calls: new NoCalls(path) };
      running = { id, abort: (reason) => inScope(scope, () => own.abort(reason)) };
      void import(module).then(
        () => runHere(port, message, { fn: functionOf(task), scope }),
        (error: unknown) => port.tell({ kind: "failed", id, error: toWireError(error) }),
      );
    }
  };
  messages.on("message", take);
  take(first);
}
