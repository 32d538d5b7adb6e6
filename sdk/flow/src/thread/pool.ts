import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Ref } from "@towpath/contract";
import type { ActiveRun, Scope } from "../engine/scope.ts";
import { keepProgress, progressKept } from "../keep/progress.ts";
import { NotInThread, TaskTimeout, ThreadEnded } from "../problem.ts";
import { CLEANUP_MS } from "../task/time-limit.ts";
import type { ThreadTask } from "./registry.ts";
import {
  type FromThread,
  fromWireError,
  type HostVerb,
  type ToldNow,
  type ToThread,
  toWireError,
} from "./wire.ts";

/**
 * The first code of a task's thread, as plain JavaScript for `new Worker(text, { eval: true })`: a bundle of a flow has
 * no separate file for it. It imports the module of its first task, which loads this package into the thread.
 */
export const FIRST_LINES = `
// Stacks name the author's lines: a thread does not share the settings of the run's own thread.
process.setSourceMapsEnabled(true);
const { parentPort } = require("node:worker_threads");
// A thread has no hooks of the run's own thread. This one finds the npm packages that the worker has installed.
const packages = process.env.TOWPATH_PACKAGES;
if (packages) {
  const { isBuiltin, registerHooks } = require("node:module");
  const parentURL = require("node:url").pathToFileURL(packages + "/package.json").href;
  const isPackage = (specifier) => /^(?:@[a-z0-9~-][^/]*\\/)?[a-z0-9~][^:]*$/i.test(specifier) && !isBuiltin(specifier);
  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (error) {
        if (!isPackage(specifier)) throw error;
        return next(specifier, { ...context, parentURL });
      }
    },
  });
}
parentPort.once("message", async (first) => {
  try {
    await import(first.module);
    globalThis[Symbol.for("towpath.thread-tasks")].serve(parentPort, first);
  } catch (error) {
    const { name = "Error", message = String(error), stack } = error ?? {};
    parentPort.postMessage({ kind: "failed", id: first.id, error: [{ name, message, stack, isError: true }] });
    parentPort.close();
  }
});
`;

/** How long threads may take to end with their run, milliseconds. */
const CLOSE_MS = 2000;
const POOL = {};

/** One call of a task in a thread. */
export interface ThreadCall {
  readonly task: ThreadTask;
  readonly name: string;
  readonly args: readonly unknown[];
  readonly scope: Scope;
  /** Grace after its time limit. Then its thread is ended. */
  readonly timeoutGraceMs: number;
}

/** Does what only the run's own thread can do. */
async function doAsked(scope: Scope, what: HostVerb, args: readonly unknown[]): Promise<unknown> {
  const { run, data } = scope;
  const { records, store } = run.host;
  const given = args as readonly never[];
  if (what === "keep") return await keepProgress(scope, { name: String(args[0]), value: args[1] });
  if (what === "kept") return await progressKept(scope, String(args[0]));
  if (what === "save") {
    const save = () => (store.save as (...all: readonly never[]) => Promise<Ref>)(...given);
    return await (data?.saving(save) ?? save());
  }
  if (what === "load") {
    const load = () => (store.load as (...all: readonly never[]) => Promise<unknown>)(...given);
    return await (data?.loading(given[0] as unknown as Ref, load) ?? load());
  }
  return await (what === "post" ? records.post(given[0] as never) : records.postHeld(given[0] as never));
}

/** Answers a blocked thread at once. Settings of a resource can be copied to it, but a test's fake cannot. */
function answerNow({ host }: ActiveRun, asked: Extract<FromThread, { kind: "ask-now" }>): void {
  const { what, name, flag, port } = asked;
  const tell = (told: ToldNow) => port.postMessage(told);
  try {
    tell({ value: what === "secret" ? host.secret(name) : host.resource(name) });
  } catch (cause) {
    const refused = new NotInThread(
      `The fake of ${what} "${name}", which cannot be copied to a thread, was used`,
      { cause },
    );
    tell({ error: toWireError(refused) });
  }
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
  port.close();
}

/** A thread that runs one call at a time. */
class TaskThread {
  readonly #worker = new Worker(FIRST_LINES, { eval: true });
  #call: {
    readonly call: ThreadCall;
    readonly id: number;
    readonly end: PromiseWithResolvers<unknown>;
  } | null = null;
  #ids = 0;
  isOver = false;

  constructor() {
    this.#worker.unref();
    this.#worker.on("message", (message: FromThread) => this.#hear(message));
    this.#worker.on("error", (error) => this.#gone(error));
    this.#worker.on("exit", () => this.#gone(undefined));
  }

  /** @throws What the function throws, or the signal's reason after the thread was ended. */
  async run(call: ThreadCall): Promise<unknown> {
    const { scope, task, args } = call;
    const { signal, path, run } = scope;
    const id = ++this.#ids;
    const end = Promise.withResolvers<unknown>();
    this.#call = { call, id, end };
    let kill: NodeJS.Timeout | undefined;
    const onAbort = () => {
      this.#send({ kind: "abort", id, reason: toWireError(signal.reason) });
      const graceMs = signal.reason instanceof TaskTimeout ? call.timeoutGraceMs : CLEANUP_MS;
      kill = setTimeout(() => this.#kill(signal.reason), graceMs);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#worker.ref();
    try {
      const { runId, attemptId, attempt, workspaceId, deployment, version, scheduledAt, due } =
        run.host.facts;
      const { artifactBytes } = run.host.facts;
      const named = { runId, attemptId, attempt, workspaceId, deployment, version };
      const facts = { ...named, scheduledAt, due, artifactBytes };
      const { module, id: taskId } = task;
      const hashKeys = run.host.store.hashes.keys;
      this.#send({ kind: "run", id, module, task: taskId, args, path, flow: run.flow, facts, hashKeys });
      return await end.promise;
    } finally {
      clearTimeout(kill);
      signal.removeEventListener("abort", onAbort);
      this.#worker.unref();
      this.#call = null;
    }
  }

  async close(): Promise<void> {
    this.isOver = true;
    await this.#worker.terminate();
  }

  #send(message: ToThread): void {
    try {
      this.#worker.postMessage(message);
    } catch (cause) {
      const what = `Something was passed to "${this.#call?.call.name}" that cannot be copied`;
      throw new NotInThread(what, { cause, next: "Pass only what structuredClone can copy." });
    }
  }

  #kill(reason: unknown): void {
    this.#call?.end.reject(reason);
    void this.close();
  }

  #gone(error: unknown): void {
    this.isOver = true;
    this.#call?.end.reject(new ThreadEnded(this.#call.call.name, error));
  }

  #hear(message: FromThread): void {
    if (message.kind === "printed") {
      const { stream, chunk, encoding } = message;
      process[stream].write(chunk, encoding);
      return;
    }
    const current = this.#call;
    if (current === null) return;
    const { records } = current.call.scope.run.host;
    if (message.kind === "log") records.postLog(message.record as Parameters<typeof records.postLog>[0]);
    else if (message.kind === "ask") void this.#answer(current.call.scope, message);
    else if (message.kind === "ask-now") answerNow(current.call.scope.run, message);
    else if (message.id !== current.id) return;
    else if (message.kind === "done") current.end.resolve(message.value);
    else current.end.reject(fromWireError(message.error));
  }

  async #answer(scope: Scope, { ask, what, args }: Extract<FromThread, { kind: "ask" }>): Promise<void> {
    try {
      this.#send({ kind: "answer", ask, value: await doAsked(scope, what, args) });
    } catch (error) {
      this.#send({ kind: "answer", ask, error: toWireError(error) });
    }
  }
}

/** The threads of one run: at most one per core, started on demand. */
class ThreadPool {
  readonly #idle: TaskThread[] = [];
  readonly #waiting: (() => void)[] = [];
  #size = 0;
  readonly #all = new Set<TaskThread>();

  async run(call: ThreadCall): Promise<unknown> {
    const thread = await this.#take();
    try {
      call.scope.signal.throwIfAborted();
      return await thread.run(call);
    } finally {
      this.#giveBack(thread);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((thread) => thread.close()));
  }

  async #take(): Promise<TaskThread> {
    while (this.#idle.length === 0 && this.#size >= availableParallelism())
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const idle = this.#idle.pop();
    if (idle) return idle;
    this.#size += 1;
    const thread = new TaskThread();
    this.#all.add(thread);
    return thread;
  }

  #giveBack(thread: TaskThread): void {
    if (thread.isOver) {
      this.#size -= 1;
      this.#all.delete(thread);
    } else this.#idle.push(thread);
    this.#waiting.shift()?.();
  }
}

async function poolOf(run: ActiveRun): Promise<ThreadPool> {
  const known = run.resources.get(POOL);
  if (known) return (await known) as ThreadPool;
  const pool = new ThreadPool();
  run.resources.set(POOL, Promise.resolve(pool));
  run.endings.add({ what: "Ending threads", maxMs: CLOSE_MS, run: () => pool.close() });
  return pool;
}

/** Runs one call in a thread of the run's own. */
export async function runInPool(call: ThreadCall): Promise<unknown> {
  return await (await poolOf(call.scope.run)).run(call);
}
