import type { MessagePort } from "node:worker_threads";
import { Checkpoints } from "../checkpoint/checkpoints.ts";
import { systemClock } from "../clock.ts";
import { activeRun } from "../engine/active-run.ts";
import { Hearing } from "../engine/hearing.ts";
import type { Host, RunFacts } from "../engine/host.ts";
import { type ActiveRun, inScope, type Scope } from "../engine/scope.ts";
import { NotInThread } from "../problem.ts";
import { CallLedger } from "../task/identity.ts";
import { type Asked, type FromThread, fromWireError, type ToThread, toWireError } from "./wire.ts";

type AnyFunction = (...args: never[]) => unknown;
type RunMessage = Extract<ToThread, { kind: "run" }>;

/** What only the run's own thread can do. */
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

/** This thread's end of its port to the run. */
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

  /** Has the run do something, and waits for it. */
  ask(what: Asked, args: readonly unknown[]): Promise<unknown> {
    const ask = ++this.#asks;
    const answer = Promise.withResolvers<unknown>();
    this.#asked.set(ask, answer);
    this.tell({ kind: "ask", ask, what, args });
    return answer.promise;
  }

  answered({ ask, value, error }: Extract<ToThread, { kind: "answer" }>): void {
    const answer = this.#asked.get(ask);
    this.#asked.delete(ask);
    if (error === undefined) answer?.resolve(value);
    else answer?.reject(fromWireError(error));
  }
}

/** The run as it is seen from a thread: what it tells goes through the port, and much of it is not there. */
function threadHost(port: Port, facts: RunFacts, cancelled: AbortSignal): Host {
  const post = async (record: unknown) => void (await port.ask("post", [record]));
  const held = async (record: unknown) => void (await port.ask("postHeld", [record]));
  const unknownSecret = { next: "In a thread pass its value to the task as an argument." };
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
      save: async (place, value, codec) => (await port.ask("save", [place, value, codec])) as never,
      load: (ref) => port.ask("load", [ref]),
      saveTogether: refuse("A task was called"),
      sync: refuse("A task was called"),
      saveAs: refuse("A task was called"),
      find: refuse("A task was called"),
    },
    resume: { origin: facts.runId, codeVersions: {}, code: null, earlier: null, keeps: false },
    clock: systemClock,
    random: Math.random,
    secret: () => unknownSecret,
    resource: refuse("A resource was asked for"),
    call: refuse("The control plane was called"),
    waits: { heard: new Hearing(), suspends: false, ask: refuse("Something was waited for") },
    poolOf: null,
    task: null,
    watchdog: null,
    cancelled,
  };
}

function runOf(port: Port, message: RunMessage, signal: AbortSignal): ActiveRun {
  const host = threadHost(port, message.facts as RunFacts, signal);
  const checkpoints = new Checkpoints(host, { checkpoint: false });
  return activeRun({ flow: message.flow, host, checkpoints, signal, ended: new AbortController().signal });
}

async function runHere(
  port: Port,
  message: RunMessage,
  a: { fn: AnyFunction | null; scope: Scope },
): Promise<void> {
  const { id, args } = message;
  try {
    if (a.fn === null)
      throw new NotInThread("A task was called that is not declared at the top of its module", {
        next: "Move its declaration there: a thread imports the module to find it.",
      });
    const { fn, scope } = a;
    const value = await inScope(scope, async () => await fn(...(args as never[])));
    port.tell({ kind: "done", id, value });
  } catch (error) {
    port.tell({ kind: "failed", id, error: toWireError(error) });
  }
}

/** Serves a thread's port from its first message on. One task at a time is all that it is sent. */
export function serve(
  messages: MessagePort,
  first: ToThread,
  functionOf: (id: string) => AnyFunction | null,
): void {
  const port = new Port(messages);
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
