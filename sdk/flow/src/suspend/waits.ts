import { setImmediate as nextTurn } from "node:timers/promises";
import type { CalledWait } from "@towpath/contract";
import { DEFAULTS } from "@towpath/contract/words";
import type { Host, WaitCall } from "../engine/host.ts";
import type { OpenSet } from "../engine/open-set.ts";

/** A wait of the flow's function. */
interface Pending {
  readonly call: WaitCall;
  readonly signal: AbortSignal;
  readonly resolve: (answer: CalledWait) => void;
  readonly reject: (error: unknown) => void;
  /** Whether the control plane has answered that the wait is open. If false, the request is running. */
  isOpen: boolean;
  /** Whether a report said that the wait may be over, while its request was running. */
  again: boolean;
  /** When time alone ends it, on the monotonic clock. */
  endsAtMs: number | null;
  isTimed: boolean;
}

/** Running work of a run. While there is any, the run is not suspended. */
interface Work {
  readonly open: OpenSet<Promise<unknown>>;
  readonly cleanups: OpenSet<Promise<unknown>>;
}

/**
 * The waits of a flow. The promise of an open wait never settles, so no error is thrown that user code could catch.
 * Once nothing else is working, the run is suspended and the process ends.
 */
export class Waits {
  readonly #host: Host;
  readonly #work: Work;
  readonly #pending = new Map<string, Pending>();
  readonly #followed = new WeakSet<AbortSignal>();
  #isClosed = false;
  #changes = Promise.withResolvers<void>();

  constructor(host: Host, work: Work) {
    this.#host = host;
    this.#work = work;
    host.waits.heard.listen((paths) => this.#hear(paths));
  }

  /**
   * Resolves with the answer once the wait is over: satisfied or expired. Never settles if the run is suspended first.
   * @throws CallRefused if the control plane refuses it; the signal's reason when it aborts.
   */
  until(call: WaitCall, signal: AbortSignal): Promise<CalledWait> {
    const { promise, resolve, reject } = Promise.withResolvers<CalledWait>();
    const flags = { isOpen: false, again: false, endsAtMs: null, isTimed: false };
    const pending: Pending = { call, signal, resolve, reject, ...flags };
    this.#pending.set(call.path, pending);
    this.#follow(signal);
    void this.#ask(pending);
    return promise;
  }

  /**
   * Ends the waits of a signal when it aborts. All share one listener, because adding one takes time in proportion to
   * those that exist.
   */
  #follow(signal: AbortSignal): void {
    const onAbort = () => {
      for (const one of this.#pending.values())
        if (one.signal === signal) this.#end(one, () => one.reject(signal.reason));
    };
    if (signal.aborted) onAbort();
    else if (!this.#followed.has(signal)) {
      this.#followed.add(signal);
      signal.addEventListener("abort", onAbort, { once: true });
    }
  }

  /** Resolves when the run only waits, with the paths of its waits. */
  async untilIdle(): Promise<string[]> {
    while (true) {
      await this.#changes.promise;
      this.#changes = Promise.withResolvers();
      await this.#untilQuiet();
      if (this.#isIdle()) return [...this.#pending.keys()];
    }
  }

  /** From now on, no wait settles. */
  close(): void {
    this.#isClosed = true;
    this.#pending.clear();
  }

  /** Waits until no task is running, and code that follows the last one has started. */
  async #untilQuiet(): Promise<void> {
    const { open, cleanups } = this.#work;
    do {
      while (open.size + cleanups.size > 0)
        await Promise.allSettled([...open.values(), ...cleanups.values()]);
      await nextTurn();
      await nextTurn();
    } while (open.size + cleanups.size > 0);
  }

  #isIdle(): boolean {
    if (!this.#host.waits.suspends || this.#isClosed || this.#pending.size === 0) return false;
    const pending = [...this.#pending.values()];
    if (!pending.every((one) => one.isOpen)) return false;
    for (const one of pending) this.#time(one);
    return pending.every((one) => !one.isTimed);
  }

  #hear(paths: readonly string[]): void {
    const known = paths.map((path) => this.#pending.get(path));
    // A redacted path does not match, so the report may concern any wait.
    const over = known.includes(undefined) ? this.#pending.values() : known;
    for (const one of over) if (one?.isOpen) void this.#ask(one);
    for (const one of known) if (one !== undefined && !one.isOpen) one.again = true;
  }

  async #ask(pending: Pending): Promise<void> {
    pending.isOpen = false;
    pending.again = false;
    try {
      const answer = await this.#host.waits.ask(pending.call, pending.signal);
      if (answer.state === "open") this.#opened(pending, answer);
      // A cancelled wait belongs to an ended run: nothing awaits it.
      else if (answer.state !== "cancelled") this.#end(pending, () => pending.resolve(answer));
    } catch (error) {
      this.#end(pending, () => pending.reject(error));
    }
    this.#changes.resolve();
  }

  #opened(pending: Pending, { inMs }: CalledWait): void {
    if (this.#pending.get(pending.call.path) !== pending) return;
    pending.endsAtMs = inMs === null ? null : this.#host.clock.monotonicMs() + inMs;
    pending.isOpen = true;
    if (pending.again) void this.#ask(pending);
    else this.#time(pending);
  }

  /** Waits in this process for a short time, or for any time if the run cannot be suspended. */
  #time(pending: Pending): void {
    if (pending.isTimed || pending.endsAtMs === null) return;
    const leftMs = Math.max(0, pending.endsAtMs - this.#host.clock.monotonicMs());
    if (this.#host.waits.suspends && leftMs > DEFAULTS.shortWaitMs) return;
    pending.isTimed = true;
    const over = () => {
      pending.isTimed = false;
      if (pending.isOpen && this.#pending.has(pending.call.path)) void this.#ask(pending);
    };
    this.#host.clock.pause(leftMs, pending.signal).then(over, () => {});
  }

  #end(pending: Pending, settle: () => void): void {
    if (this.#pending.get(pending.call.path) !== pending) return;
    this.#pending.delete(pending.call.path);
    if (!this.#isClosed) settle();
  }
}
